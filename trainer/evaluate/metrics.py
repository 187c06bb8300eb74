"""Metrics of answers: accuracy with its interval, ROC-AUC, exact match and F1 (SQuAD), VQA accuracy."""

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

Z_95 = 1.959963984540054  # standard errors on either side of a 95 % interval


@dataclass(frozen=True)
class Accuracy:
    """The fraction of correct answers, with its 95 % interval (Wilson)."""

    num_correct: int
    num_answers: int
    value: float
    low: float
    high: float


def accuracy(correct: Iterable[bool]) -> Accuracy:
    """Return the accuracy of answers that are correct or not. Raises: SchemaError when there are none."""
    scored = list(map(bool, correct))
    if not scored:
        raise SchemaError("no answer to score: give at least one example")
    num_correct, num_answers = sum(scored), len(scored)
    fraction, spread = num_correct / num_answers, Z_95**2 / num_answers
    centre = (fraction + spread / 2) / (1 + spread)
    margin = Z_95 / (1 + spread) * math.sqrt(fraction * (1 - fraction) / num_answers + spread / (4 * num_answers))
    return Accuracy(num_correct, num_answers, fraction, max(0.0, centre - margin), min(1.0, centre + margin))


def roc_auc(labels: Sequence[bool] | np.ndarray, scores: Sequence[float] | np.ndarray) -> float:
    """Return the area, 0 to 1; 0.5 is chance. Raises: SchemaError unless both labels occur and no score is NaN."""
    positive, score = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if positive.shape != score.shape or not num_positive or not num_negative or np.isnan(score).any():
        raise SchemaError(
            f"ROC-AUC needs positives and negatives, with one score each: got {num_positive} positives, "
            f"{num_negative} negatives, {score.size} scores of which {int(np.isnan(score).sum())} are NaN"
        )
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]
    return float((ranks[positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def exact_match(answer: str, correct: Sequence[str]) -> float:
    """Return 1.0 if the answer is one of the correct ones (at least one), else 0.0."""
    return float(any(normalise(answer) == normalise(text) for text in correct))


def token_f1(answer: str, correct: Sequence[str]) -> float:
    """Return the highest F1 of words, 0 to 1, over the correct answers (at least one); 1.0 if both are empty."""
    return max(_f1(normalise(answer).split(), normalise(text).split()) for text in correct)


def normalise(answer: str) -> str:
    """Return an answer without case, articles and punctuation, as it is compared."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_NO_PUNCTUATION)).split())


def _f1(answer: list[str], correct: list[str]) -> float:
    if not answer or not correct:
        return float(answer == correct)
    num_common = (Counter(answer) & Counter(correct)).total()
    return 2 * num_common / (len(answer) + len(correct))


_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_STOP = re.compile(r"\.(?!\d)")
_THOUSANDS = re.compile(r"\d,\d")
_VQA_ARTICLES = frozenset(("a", "an", "the"))
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_WORDS)}
_MAX_STOPS = 32  # the official code passes a flag, whose value is 32, as the count


def vqa_accuracy(answer: str, human_answers: Sequence[str]) -> float:
    """Return the VQA accuracy of an answer, 0 to 1, by the answers of people (officially ten; at least one)."""
    answer, references = _trim(answer), [_trim(text) for text in human_answers]
    if len(set(references)) > 1:
        answer, references = normalise_vqa(answer), [normalise_vqa(text) for text in references]
    same = [text == answer for text in references]
    return sum(min(1.0, (sum(same) - own) / 3) for own in same) / len(same)


def normalise_vqa(answer: str) -> str:
    """Return an answer as it is compared: punctuation, case, articles, number words and apostrophes are normalised."""
    contractions = _contractions()
    numbered = (_NUMBERS.get(word, word) for word in _without_marks(answer).lower().split())
    return " ".join(contractions.get(word, word) for word in numbered if word not in _VQA_ARTICLES)


def _without_marks(answer: str) -> str:
    """Remove marks next to a space, and replace others by a space; remove all if a comma is between digits."""
    thousands, text = _THOUSANDS.search(answer), answer
    for mark in _MARKS:
        is_removed = thousands or f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if is_removed else " ")
    return _STOP.sub("", text, count=_MAX_STOPS)


def _trim(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


@cache
def _contractions() -> dict[str, str]:
    table: dict[str, str] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return table
