"""Accuracy, with the interval in which the true one lies.

Definition: Wilson's score interval (1927), which stays within 0 and 1 and holds for few or all right.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

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
