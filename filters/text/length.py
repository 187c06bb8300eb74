"""Texts too short to teach, or too long to be one text."""

from filters.text.measure import Measure

MEASURES = (
    Measure(
        "num_words",
        ("num_words",),
        (("min_words", "TOO_SHORT"), ("max_words", "TOO_LONG")),
        "OBELICS, arXiv 2306.16527, appendix A.1; Gopher, arXiv 2112.11446, A.1.1",
        lambda batch: batch["num_words"],
    ),
)
"""num_words: runs of anything but white space, see filters/words.py. Gopher's words are counted so too: the paper does
not say what a word is, and a second count for the same key would be one too many.
"""
