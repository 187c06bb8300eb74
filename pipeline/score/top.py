"""The score that the best part of all reaches: an exact quantile, however many scores there are.

Scores are rounded, so counting each of their values needs 200,001 counts at most: the cluster counts, and the cut is
found here.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil


def cut(counts: Mapping[float, int], fraction: float) -> float | None:
    """Return the lowest score among the best `fraction` of all: with n of them, of the best ceil(fraction * n).

    Those that have just this score stay together, so a little more than the fraction may stay. None keeps nothing.

    Args: counts leads from each score to how many have it.
    """
    left = ceil(Fraction(repr(fraction)) * sum(counts.values()))  # as written: .7 of 10 are 7, though .7 * 10 > 7
    for score in sorted(counts, reverse=True):
        if left <= 0:
            break
        left -= counts[score]
        lowest = score
        if left <= 0:
            return lowest
    return None
