"""The cache: keys and values of the positions that went before, so that the next token costs one position.

Letters: B rows, S positions kept, T new positions, H heads, D width of a head.
Keys are kept turned by xPos about the cache's own centre: a product of query and key depends on their distance alone,
so they stay valid however long the row grows, as long as every query is turned about the same centre.
"""

from dataclasses import dataclass, field

import torch


@dataclass
class LayerCache:
    """Keys and values of one layer, in memory for a whole row."""

    capacity: int
    filled: int = 0
    keys_BHSD: torch.Tensor | None = None
    values_BHSD: torch.Tensor | None = None

    def extend(self, k_BHTD: torch.Tensor, v_BHTD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add new positions; return the keys and values of all, (B, H, S + T, D) each."""
        if self.keys_BHSD is None or self.values_BHSD is None:
            rows, heads, _, width = k_BHTD.shape
            self.keys_BHSD = k_BHTD.new_empty(rows, heads, self.capacity, width)
            self.values_BHSD = torch.empty_like(self.keys_BHSD)
        new = slice(self.filled, self.filled + k_BHTD.shape[2])
        self.keys_BHSD[:, :, new], self.values_BHSD[:, :, new] = k_BHTD, v_BHTD
        self.filled = new.stop
        return self.keys_BHSD[:, :, : new.stop], self.values_BHSD[:, :, : new.stop]

    def select(self, rows: torch.Tensor, first: int) -> None:
        """Keep the rows with these numbers, in this order; a number may come again.

        With `first` above 0, rows take the place of rows that are alike before that position: only what is behind it is
        copied. Beams of a prompt share all of the prompt.
        """
        if self.keys_BHSD is not None and self.values_BHSD is not None:
            if first:
                for kept_BHSD in (self.keys_BHSD, self.values_BHSD):
                    kept_BHSD[:, :, first : self.filled] = kept_BHSD[:, :, first : self.filled][rows]
            else:
                self.keys_BHSD, self.values_BHSD = self._of(self.keys_BHSD, rows), self._of(self.values_BHSD, rows)

    def _of(self, kept_BHSD: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        found = kept_BHSD.new_empty(len(rows), *kept_BHSD.shape[1:])
        found[:, :, : self.filled] = kept_BHSD[:, :, : self.filled][rows]  # what is not filled yet need not be copied
        return found


@dataclass
class Cache:
    """The caches of all layers, for rows of at most `capacity` positions."""

    num_layers: int
    capacity: int
    layers: list[LayerCache] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = [LayerCache(self.capacity) for _ in range(self.num_layers)]

    @property
    def centre(self) -> int:
        """The position about which xPos turns, for as long as the cache lives."""
        return self.capacity // 2

    def select(self, rows: torch.Tensor, first: int = 0) -> None:
        """Keep the rows with these numbers, in this order, as `LayerCache.select`."""
        for layer in self.layers:
            layer.select(rows, first)
