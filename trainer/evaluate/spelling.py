"""Constrained decoding: a model's words held, token by token, to what stands on a list, however long it is.

A list is kept as a trie of tokens, so that what may come next is a look at one node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch

from trainer.generate.search import Expectation


@dataclass
class Trie:
    """What may follow a beginning: tokens, each with what may follow then."""

    children: dict[int, Trie] = field(default_factory=dict)

    @classmethod
    def of(cls, spellings: Iterable[Sequence[int]], end: int) -> Trie:
        """Make the trie of spellings in tokens, each closed by `end`."""
        root = cls()
        for spelling in spellings:
            node = root
            for token in (*spelling, end):
                node = node.children.setdefault(int(token), cls())
        return root


class Spelling:
    """An expectation (trainer/generate/search.py) that gives a chance to nothing but what is on each prompt's list."""

    def __init__(self, expected: Expectation, lists: Sequence[Trie]) -> None:
        self._expected, self._nodes = expected, list(lists)

    def first(self) -> torch.Tensor:
        return self._held(self._expected.first())

    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        steps = zip(tokens_R.tolist(), rows_R.tolist(), strict=True)
        self._nodes = [self._nodes[row].children.get(token, Trie()) for token, row in steps]
        return self._held(self._expected.then(tokens_R, rows_R))

    def _held(self, log_p_RV: torch.Tensor) -> torch.Tensor:
        held_RV = torch.full_like(log_p_RV, -torch.inf)
        for row, node in enumerate(self._nodes):
            allowed = list(node.children)
            held_RV[row, allowed] = log_p_RV[row, allowed]
        return held_RV
