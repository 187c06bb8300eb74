"""Exact match and F1 of words, of answers that are a stretch of text. WebSRC uses them too.

Definition: Rajpurkar et al., "SQuAD" (arXiv 1606.05250), as its evaluation script of version 2.0 has it: small letters,
no ASCII punctuation, no articles, single spaces; the best of the right answers counts.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def exact_match(answer: str, right: Sequence[str]) -> float:
    """1.0 if the answer is one of the right ones (at least one), else 0.0."""
    return float(any(normalise(answer) == normalise(text) for text in right))


def token_f1(answer: str, right: Sequence[str]) -> float:
    """The best F1, 0 to 1, of the words of the answer and of a right one (at least one); 1.0 if neither has any."""
    return max(_f1(normalise(answer).split(), normalise(text).split()) for text in right)


def normalise(answer: str) -> str:
    """An answer as it is compared."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_NO_PUNCTUATION)).split())


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    num_common = (Counter(said) & Counter(right)).total()
    return 2 * num_common / (len(said) + len(right))
