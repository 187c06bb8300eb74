"""C4's rules: code, filler, notices, and lines that are no sentences."""

from filters.text.measure import Measure
from filters.views.view import part
from filters.words import count

_PAPER = '"Exploring the Limits of Transfer Learning" (C4), arXiv 1910.10683, section 2.2'
_CODE = "C4's code (tensorflow/datasets, c4_utils.py), which goes beyond the paper"
_POLICY = r"(?i)terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"


def _of_pattern(name: str, pattern: str, code: str, source: str) -> Measure:
    return Measure(name, ("text",), ((f"max_{name}", code),), source, lambda batch: count(batch["text"], pattern))


MEASURES = (
    Measure(
        "num_sentences",
        ("line_counts",),
        (("min_sentences", "FEW_SENTENCES"),),
        _PAPER + ": at least 5, of the lines that stay",
        lambda batch: part(batch, "line_counts", "sentences"),
    ),
    _of_pattern("curly_brackets", r"\{", "CURLY_BRACKETS", _PAPER + ": none on a page"),
    _of_pattern("lorem_ipsum", r"(?i)lorem ipsum", "LOREM_IPSUM", _PAPER + ": none on a page"),
    _of_pattern("javascript_mentions", r"(?i)javascript", "JAVASCRIPT", _PAPER + ": none in a line that stays"),
    _of_pattern("policy_phrases", _POLICY, "POLICY_PHRASES", _CODE + ": none in a line that stays"),
    _of_pattern(
        "endless_words", r"[^\s\p{Z}]{1000}[^\s\p{Z}]+", "ENDLESS_WORDS", _CODE + ": none in a line that stays"
    ),
)
"""Of these C4 judges single lines by words (3), terminal punctuation, javascript, policy phrases and endless words (of
more than 1,000 characters); whole pages by sentences, curly brackets and lorem ipsum. Set the former in
`filters.paragraph`, the latter in `filters.text`: our unit is the paragraph, which is mostly one line.
"""
