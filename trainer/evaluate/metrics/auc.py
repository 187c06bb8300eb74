"""ROC-AUC: how often a positive is scored above a negative, of all pairs of the two; a tie counts half.

Definition: the statistic of Mann and Whitney (1947), which is the area under the curve (Hanley and McNeil, 1982).
"""

from collections.abc import Sequence

import numpy as np

from schemas.errors import SchemaError


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
