"""ROC-AUC: by hand, by all pairs, and by its invariances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from trainer.evaluate.metrics import roc_auc

_rows = st.lists(st.tuples(st.booleans(), st.integers(-50, 50)), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 3 / 4),  # of four pairs only (0.4, 0.35) is reversed
        ([0, 1], [0.2, 0.7], 1),
        ([1, 0], [0.2, 0.7], 0),
        ([0, 1, 0, 1], [5, 5, 5, 5], 1 / 2),
        ([1, 1, 0], [2, 1, 1], 3 / 4),  # one pair ordered, one tied
        ([0, 1], [float("-inf"), float("inf")], 1),
    ],
)
def test_area(labels: list[int], scores: list[float], expected: float) -> None:
    assert roc_auc(labels, scores) == pytest.approx(expected)


@given(_rows)
def test_area_is_the_fraction_of_ordered_pairs(rows: list[tuple[bool, int]]) -> None:
    positives = [score for label, score in rows if label]
    negatives = [score for label, score in rows if not label]
    won = sum((high > low) + (high == low) / 2 for high in positives for low in negatives)
    assert roc_auc(*zip(*rows, strict=True)) == pytest.approx(won / (len(positives) * len(negatives)))


@given(_rows, st.randoms())
def test_order_does_not_matter(rows: list[tuple[bool, int]], random) -> None:
    shuffled = random.sample(rows, len(rows))
    assert roc_auc(*zip(*shuffled, strict=True)) == roc_auc(*zip(*rows, strict=True))


@given(_rows)
def test_only_the_order_of_scores_matters(rows: list[tuple[bool, int]]) -> None:
    labels, scores = zip(*rows, strict=True)
    assert roc_auc(labels, [score**3 / 7 - 4 for score in scores]) == roc_auc(labels, scores)


@given(_rows)
def test_reversing_scores_or_labels_gives_the_complement(rows: list[tuple[bool, int]]) -> None:
    labels, scores = zip(*rows, strict=True)
    assert roc_auc(labels, [-score for score in scores]) == pytest.approx(1 - roc_auc(labels, scores))
    assert roc_auc([not label for label in labels], scores) == pytest.approx(1 - roc_auc(labels, scores))


@pytest.mark.parametrize(
    ("labels", "scores"), [([], []), ([1, 1], [1, 2]), ([0], [1]), ([0, 1], [1]), ([0, 1], [1, float("nan")])]
)
def test_invalid_input_is_an_error(labels: list[int], scores: list[float]) -> None:
    with pytest.raises(SchemaError, match="positives and negatives"):
        roc_auc(labels, scores)
