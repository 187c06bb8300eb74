"""Figures on the paper's scale, from answers that are right, or right in part."""

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from trainer.evaluate.example import Answer, Example
from trainer.evaluate.metrics.accuracy import Z_95, accuracy
from trainer.evaluate.task import Score


def share(right: Sequence[bool]) -> Score:
    """Return the share that is right, with Wilson's interval."""
    found = accuracy(right)
    return Score(100 * found.value, 100 * found.low, 100 * found.high)


def mean(parts: Sequence[float]) -> Score:
    """Return the mean of answers that are right in part, 0 to 1 each, with the interval by its standard error."""
    middle = fmean(parts)
    reach = Z_95 * stdev(parts) / math.sqrt(len(parts)) if len(parts) > 1 else 0.0
    return Score(100 * middle, 100 * max(0.0, middle - reach), 100 * min(1.0, middle + reach))


def one_of_right(examples: Sequence[Example], answers: Sequence[Answer]) -> dict[str, Score]:
    """Judge by accuracy: an answer is right when it is one of the right ones, letter by letter."""
    return {"accuracy": share([a.text in e.right for e, a in zip(examples, answers, strict=True)])}


def mean_of(
    judge: Callable[[str, Sequence[str]], float], examples: Sequence[Example], answers: Sequence[Answer]
) -> Score:
    """Return the mean of what a metric gives to each answer, by the right ones."""
    return mean([judge(a.text, e.right) for e, a in zip(examples, answers, strict=True)])
