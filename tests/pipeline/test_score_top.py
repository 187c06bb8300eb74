"""The cut of the best part: as sorting them all finds it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.score.similarity import lowest_top_score


@given(st.lists(st.integers(-5, 5).map(lambda n: n / 4), min_size=1), st.integers(1, 100))
def test_it_is_the_score_at_the_rank_that_a_sorted_list_says(scores: list[float], percent: int) -> None:
    rank = -(-len(scores) * percent // 100)
    assert lowest_top_score(Counter(scores), percent / 100) == sorted(scores, reverse=True)[rank - 1]


@pytest.mark.parametrize(("fraction", "stay"), [(0.7, 7), (0.3, 3), (0.31, 4), (0.05, 1), (1.0, 10)])
def test_a_fraction_is_taken_as_it_is_written(fraction: float, stay: int) -> None:
    bound = lowest_top_score({n / 10: 1 for n in range(10)}, fraction)
    assert bound is not None
    assert sum(n / 10 >= bound for n in range(10)) == stay


def test_what_ties_with_the_last_stays_too() -> None:
    assert lowest_top_score({0.3: 1, 0.2: 5, 0.1: 4}, 0.2) == 0.2


def test_nothing_stays_of_nothing() -> None:
    assert lowest_top_score({}, 0.5) is None
    assert lowest_top_score({0.3: 4}, 0.0) is None
