"""Metrics of answers: accuracy with its interval, ROC-AUC, exact match and F1, VQA accuracy."""

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from schemas.errors import SchemaError

Z_95 = 1.959963984540054  # standard errors on either side, for 95 %


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers, and the 95 % interval of it."""

    num_right: int
    num_answers: int
    value: float
    low: float
    high: float


def accuracy(right: Iterable[bool]) -> Accuracy:
    """The accuracy of answers of which each is right or not. Raises SchemaError if there are none."""
    judged = list(map(bool, right))
    if not judged:
        raise SchemaError("no answer to judge: give at least one example")
    num_right, num_answers = sum(judged), len(judged)
    share, spread = num_right / num_answers, Z_95**2 / num_answers
    middle = (share + spread / 2) / (1 + spread)
    reach = Z_95 / (1 + spread) * math.sqrt(share * (1 - share) / num_answers + spread / (4 * num_answers))
    return Accuracy(num_right, num_answers, share, max(0.0, middle - reach), min(1.0, middle + reach))


def roc_auc(labels: Sequence[bool] | np.ndarray, scores: Sequence[float] | np.ndarray) -> float:
    """The area, 0 to 1; 0.5 is chance. Raises SchemaError unless both labels occur and every score is a number."""
    positive, score = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if positive.shape != score.shape or not num_positive or not num_negative or np.isnan(score).any():
        raise SchemaError(
            f"ROC-AUC needs positives and negatives, with one score each: got {num_positive} positives, "
            f"{num_negative} negatives, {score.size} scores of which {int(np.isnan(score).sum())} are no numbers"
        )
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]
    return float((ranks[positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


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


_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_STOP = re.compile(r"\.(?!\d)")
_THOUSANDS = re.compile(r"\d,\d")
_VQA_ARTICLES = frozenset(("a", "an", "the"))
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_WORDS)}
_MOST_STOPS = 32  # the official code passes a flag, of value 32, where a count is meant


def vqa_accuracy(answer: str, given: Sequence[str]) -> float:
    """How right an answer is, 0 to 1, by the answers that people gave (ten, officially; at least one)."""
    said, theirs = _trim(answer), [_trim(text) for text in given]
    if len(set(theirs)) > 1:
        said, theirs = normalise_vqa(said), [normalise_vqa(text) for text in theirs]
    same = [text == said for text in theirs]
    return sum(min(1.0, (sum(same) - own) / 3) for own in same) / len(same)


def normalise_vqa(answer: str) -> str:
    """An answer as it is compared: punctuation, case, articles, number words and missing apostrophes made alike."""
    contractions = _contractions()
    numbered = (_NUMBERS.get(word, word) for word in _without_marks(answer).lower().split())
    return " ".join(contractions.get(word, word) for word in numbered if word not in _VQA_ARTICLES)


def _without_marks(answer: str) -> str:
    """Marks beside a space go, others become one; all go where a comma stands between digits."""
    thousands, text = _THOUSANDS.search(answer), answer
    for mark in _MARKS:
        apart = thousands or f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if apart else " ")
    return _STOP.sub("", text, count=_MOST_STOPS)


def _trim(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


@cache
def _contractions() -> dict[str, str]:
    table: dict[str, str] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return table
