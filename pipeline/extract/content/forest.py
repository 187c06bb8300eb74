"""Forests of regression trees, as gradient boosting grows them, evaluated by numpy alone.

Letters: N rows, F features, T trees, K nodes of all trees.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Forest:
    """Trees laid out one after the other. A leaf leads to itself, so that all rows take the same number of steps."""

    roots_T: npt.NDArray[np.int32]
    feature_K: npt.NDArray[np.int32]
    threshold_K: npt.NDArray[np.float32]  # a row goes left when its feature is at most this
    children_K2: npt.NDArray[np.int32]  # right, left
    value_K: npt.NDArray[np.float32]  # log-odds, of leaves
    depth: int

    def __call__(self, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the probability of each row: (N, F) to (N,), both float32."""
        num_rows, num_features = x_NF.shape
        x = np.ascontiguousarray(x_NF).ravel()
        row_NT = np.repeat(np.arange(num_rows, dtype=np.int32) * num_features, len(self.roots_T))
        children = self.children_K2.ravel()
        node_NT = np.tile(self.roots_T, num_rows)
        for _ in range(self.depth):
            is_left = x[row_NT + self.feature_K[node_NT]] <= self.threshold_K[node_NT]
            node_NT = children[2 * node_NT + is_left]
        odds_N = self.value_K[node_NT].reshape(num_rows, -1).sum(axis=1)
        probability_N: npt.NDArray[np.float32] = (1 / (1 + np.exp(-odds_N))).astype(np.float32)
        return probability_N

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return what `from_arrays` takes, to be kept in an .npz file."""
        return {
            f"{prefix}_roots": self.roots_T,
            f"{prefix}_feature": self.feature_K.astype(np.int16),
            f"{prefix}_threshold": self.threshold_K,
            f"{prefix}_children": self.children_K2,
            f"{prefix}_value": self.value_K.astype(np.float16),
            f"{prefix}_depth": np.array(self.depth),
        }

    @classmethod
    def from_arrays(cls, arrays: Any, prefix: str) -> "Forest":
        """Take a forest out of an .npz file."""
        return cls(
            arrays[f"{prefix}_roots"],
            arrays[f"{prefix}_feature"].astype(np.int32),
            arrays[f"{prefix}_threshold"],
            arrays[f"{prefix}_children"],
            arrays[f"{prefix}_value"].astype(np.float32),
            int(arrays[f"{prefix}_depth"]),
        )
