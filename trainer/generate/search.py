"""Search: from what is expected next, to the tokens that are said. Greedy, or by beams; many prompts at a time.

Letters: P prompts, R rows (of greedy search a prompt each, of beam search a beam each), K beams of a prompt,
V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch


class Expectation(Protocol):
    """What may come next, as log-probabilities (R, V) float32."""

    def first(self) -> torch.Tensor:
        """Return what comes first behind each prompt, (P, V)."""

    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        """Return what comes next when rows, by their numbers before, go on with a token each."""


def search(
    expected: Expectation, num_beams: int, max_tokens: Sequence[int], end: int, length_penalty: float = 1.0
) -> list[list[int]]:
    """Say what is likeliest behind each prompt: by beams, or for one beam greedily, which finds the same sooner."""
    if num_beams == 1:
        return greedy(expected, max_tokens, end)
    return beam(expected, num_beams, max_tokens, end, length_penalty)


def spoken(expected: Expectation, max_tokens: int, end: int) -> Iterator[list[int]]:
    """Yield the likeliest token of each row, one after the other, until all rows have come to their `end`.

    A row that has ended yields `end` again.
    """
    log_p_RV = expected.first()
    ended_R = torch.zeros(len(log_p_RV), dtype=torch.bool, device=log_p_RV.device)
    rows_R = torch.arange(len(log_p_RV), device=log_p_RV.device)
    for number in range(1, max_tokens + 1):
        tokens_R = log_p_RV.argmax(-1).masked_fill(ended_R, end)
        yield tokens_R.tolist()
        ended_R |= tokens_R == end
        if number == max_tokens or ended_R.all():
            return
        log_p_RV = expected.then(tokens_R, rows_R)


def greedy(expected: Expectation, max_tokens: Sequence[int], end: int) -> list[list[int]]:
    """Take the likeliest token each time: of each prompt until `end`, which is left out, or its `max_tokens`."""
    rows = zip(*spoken(expected, max(max_tokens), end), strict=True)
    return [
        list(row[: row.index(end)] if end in row else row)[:most] for row, most in zip(rows, max_tokens, strict=True)
    ]


def beam(
    expected: Expectation, num_beams: int, max_tokens: Sequence[int], end: int, length_penalty: float = 1.0
) -> list[list[int]]:
    """Go on with the `num_beams` likeliest beginnings of each prompt until as many have come to their `end`.

    The best is the one of the highest log-probability / length ** length_penalty, `end` counted; it is left out of what
    is returned. Beginnings that are cut at `max_tokens` compete when fewer have ended. One beam is greedy search.
    """
    log_p_RV = expected.first()
    hunts = [_Hunt(most, num_beams, length_penalty) for most in max_tokens]
    hunting = hunts
    while True:
        going_on: list[tuple[int, int]] = []  # of each row, the one that it comes from, and its token
        first_row = 0
        for hunt, best in zip(hunting, _best(log_p_RV, hunting, 2 * num_beams), strict=True):
            num_rows = len(hunt.live)
            steps = hunt.step(*best, log_p_RV.shape[1], end)
            going_on += [(first_row + row, token) for row, token in steps if not hunt.is_over]
            first_row += num_rows
        hunting = [hunt for hunt in hunting if not hunt.is_over]
        if not hunting:
            return [max(hunt.ended)[1] for hunt in hunts]
        rows_R, tokens_R = torch.tensor(going_on, device=log_p_RV.device).unbind(1)
        log_p_RV = expected.then(tokens_R, rows_R)


@dataclass
class _Hunt:
    """The beams of one prompt: beginnings with their log-probabilities, and with their scores those that ended."""

    max_tokens: int
    num_beams: int
    length_penalty: float
    length: int = 0
    live: list[tuple[float, list[int]]] = field(default_factory=lambda: [(0.0, [])])
    ended: list[tuple[float, list[int]]] = field(default_factory=list)
    is_over: bool = False

    def step(self, scores: list[float], places: list[int], vocabulary: int, end: int) -> list[tuple[int, int]]:
        """Go on by the best of all next tokens, best first; return each live beginning's row before, and its token."""
        self.length += 1
        going_on: list[tuple[float, int, int]] = []
        for rank, (score, place) in enumerate(zip(scores, places, strict=True)):
            if score == -torch.inf or len(going_on) == self.num_beams:
                break
            row, token = divmod(place, vocabulary)
            if token != end:
                going_on.append((score, row, token))
            elif rank < self.num_beams:
                self.ended.append((score / self.length**self.length_penalty, self.live[row][1]))
        self.live = [(score, [*self.live[row][1], token]) for score, row, token in going_on]
        enough = len(self.ended) >= self.num_beams
        self.is_over = enough or not self.live or self.length == self.max_tokens
        if self.is_over and not enough:
            self.ended += [(score / self.length**self.length_penalty, tokens) for score, tokens in self.live]
        return [(row, token) for _, row, token in going_on]


def _best(log_p_RV: torch.Tensor, hunts: Sequence[_Hunt], most: int) -> Iterator[tuple[list[float], list[int]]]:
    """Find the best next tokens of each prompt: their scores, and their places in its rows laid end to end.

    As many as could go on and end: at most half of them end.
    """
    counts, vocabulary = [len(hunt.live) for hunt in hunts], log_p_RV.shape[1]
    before_R = log_p_RV.new_tensor([score for hunt in hunts for score, _ in hunt.live])
    p_R = torch.tensor([p for p, n in enumerate(counts) for _ in range(n)], device=log_p_RV.device)
    k_R = torch.tensor([k for n in counts for k in range(n)], device=log_p_RV.device)
    scores_PKV = log_p_RV.new_full((len(hunts), max(counts), vocabulary), -torch.inf)
    scores_PKV[p_R, k_R] = log_p_RV + before_R.unsqueeze(1)
    best = scores_PKV.flatten(1).topk(min(most, max(counts) * vocabulary))
    yield from zip(best.values.tolist(), best.indices.tolist(), strict=True)
