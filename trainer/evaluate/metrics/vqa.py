"""VQA accuracy: how many of ten people gave this answer, of whom three make it right. VizWiz uses it too.

Definition: Antol et al., "VQA: Visual Question Answering" (arXiv 1505.00468), as the code of the benchmark has it
(GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py): the mean, over the people, of
min(1, n / 3), where n of the others gave the answer. Answers are normalised only if the people do not all agree. (Older
states of that code normalise the model's answer always, and people's punctuation alone.)
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_STOP = re.compile(r"\.(?!\d)")
_THOUSANDS = re.compile(r"\d,\d")
_ARTICLES = frozenset(("a", "an", "the"))
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_WORDS)}
_MOST_STOPS = 32  # the official code passes a flag, of value 32, where a count is meant


def accuracy(answer: str, given: Sequence[str]) -> float:
    """How right an answer is, 0 to 1, by the answers that people gave (ten, officially; at least one)."""
    said, theirs = _trim(answer), [_trim(text) for text in given]
    if len(set(theirs)) > 1:
        said, theirs = normalise(said), [normalise(text) for text in theirs]
    same = [text == said for text in theirs]
    return sum(min(1.0, (sum(same) - own) / 3) for own in same) / len(same)


def normalise(answer: str) -> str:
    """An answer as it is compared: punctuation, case, articles, number words and missing apostrophes made alike."""
    contractions = _contractions()
    numbered = (_NUMBERS.get(word, word) for word in _without_marks(answer).lower().split())
    return " ".join(contractions.get(word, word) for word in numbered if word not in _ARTICLES)


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
