"""The cache: keys and values of the positions that went before, so that the next token costs one position.

Letters: B rows, S positions kept, T new positions, H heads, D width of a head.
A row may hold several branches of what stands before them (beams, options): who looks at what is told with each query.
Keys are kept turned by xPos about the cache's own centre: a product of query and key depends on their distance alone,
so they stay valid however long the row grows, as long as every query is turned about the same centre.
"""

from dataclasses import dataclass, field

import torch


@dataclass
class LayerCache:
    """Keys and values of one layer, in memory for `capacity` positions of a row, and for twice as many when they are
    full."""

    capacity: int
    filled: int = 0
    keys_BHSD: torch.Tensor | None = None
    values_BHSD: torch.Tensor | None = None

    def extend(self, k_BHTD: torch.Tensor, v_BHTD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add new positions; return the keys and values of all, (B, H, S + T, D) each."""
        last = self.filled + k_BHTD.shape[2]
        while self.capacity < last:
            self.capacity *= 2
        self.keys_BHSD = self._added(self.keys_BHSD, k_BHTD)
        self.values_BHSD = self._added(self.values_BHSD, v_BHTD)
        self.filled = last
        return self.keys_BHSD[:, :, :last], self.values_BHSD[:, :, :last]

    def select(self, rows: torch.Tensor) -> None:
        """Keep the rows with these numbers, in this order."""
        if self.keys_BHSD is not None and self.values_BHSD is not None:
            self.keys_BHSD, self.values_BHSD = self.keys_BHSD[rows], self.values_BHSD[rows]

    def _added(self, kept_BHSD: torch.Tensor | None, new_BHTD: torch.Tensor) -> torch.Tensor:
        rows, heads, length, width = new_BHTD.shape
        if kept_BHSD is None or kept_BHSD.shape[2] < self.capacity:
            larger_BHSD = new_BHTD.new_empty(rows, heads, self.capacity, width)
            if kept_BHSD is not None:
                larger_BHSD[:, :, : self.filled] = kept_BHSD[:, :, : self.filled]
            kept_BHSD = larger_BHSD
        kept_BHSD[:, :, self.filled : self.filled + length] = new_BHTD
        return kept_BHSD


@dataclass
class Cache:
    """The caches of all layers, for rows of about `capacity` positions."""

    num_layers: int
    capacity: int
    layers: list[LayerCache] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = [LayerCache(self.capacity) for _ in range(self.num_layers)]

    @property
    def centre(self) -> int:
        """The position about which xPos turns, for as long as the cache lives."""
        return self.capacity // 2

    @property
    def num_rows(self) -> int:
        """How many rows are kept."""
        kept_BHSD = self.layers[0].keys_BHSD
        return 0 if kept_BHSD is None else len(kept_BHSD)

    def select(self, rows: torch.Tensor) -> None:
        """Keep the rows with these numbers, in this order."""
        for layer in self.layers:
            layer.select(rows)
