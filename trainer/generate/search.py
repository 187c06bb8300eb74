"""Greedy and beam search over next-token probabilities, for many prompts at a time.

Letters: P prompts, R rows (one for each prompt in greedy search, for each beam in beam search), K beams of a prompt,
V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch


class NextToken(Protocol):
    """Predicts the next token, as log-probabilities (R, V) float32."""

    def first(self) -> torch.Tensor:
        """Predict the first token after each prompt, (P, V)."""

    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        """Append a token to each of these rows, by their earlier indices; predict the next one."""


def search(
    model: NextToken, num_beams: int, max_tokens: Sequence[int], end: int, length_penalty: float = 1.0
) -> list[list[int]]:
    """Return a continuation of each prompt: by beam search, or for one beam by greedy search, its faster equal."""
    if num_beams == 1:
        return greedy(model, max_tokens, end)
    return beam(model, num_beams, max_tokens, end, length_penalty)


def greedy_steps(model: NextToken, max_tokens: int, end: int) -> Iterator[list[int]]:
    """Yield the most likely next token of every row, step by step, until all rows have reached `end`.

    A row that has ended yields `end` again.
    """
    log_p_RV = model.first()
    ended_R = torch.zeros(len(log_p_RV), dtype=torch.bool, device=log_p_RV.device)
    rows_R = torch.arange(len(log_p_RV), device=log_p_RV.device)
    for number in range(1, max_tokens + 1):
        tokens_R = log_p_RV.argmax(-1).masked_fill(ended_R, end)
        yield tokens_R.tolist()
        ended_R |= tokens_R == end
        if number == max_tokens or ended_R.all():
            return
        log_p_RV = model.then(tokens_R, rows_R)


def greedy(model: NextToken, max_tokens: Sequence[int], end: int) -> list[list[int]]:
    """Return the most likely tokens of each prompt until `end`, which is left out, or its `max_tokens`."""
    rows = zip(*greedy_steps(model, max(max_tokens), end), strict=True)
    return [
        list(row[: row.index(end)] if end in row else row)[:most] for row, most in zip(rows, max_tokens, strict=True)
    ]


def beam(
    model: NextToken, num_beams: int, max_tokens: Sequence[int], end: int, length_penalty: float = 1.0
) -> list[list[int]]:
    """Extend the `num_beams` most likely hypotheses of each prompt until as many have reached `end`.

    Return the one with the highest log-probability / length ** length_penalty; the length includes `end`, the result
    does not. Hypotheses truncated at `max_tokens` compete when fewer have ended. One beam is greedy search.
    """
    log_p_RV = model.first()
    searches = [_BeamSearch(most, num_beams, length_penalty) for most in max_tokens]
    active = searches
    while True:
        extended: list[tuple[int, int]] = []  # of each new row, the row that it extends, and its token
        first_row = 0
        for search, best in zip(active, _best(log_p_RV, active, 2 * num_beams), strict=True):
            num_rows = len(search.live)
            steps = search.step(*best, log_p_RV.shape[1], end)
            extended += [(first_row + row, token) for row, token in steps if not search.is_over]
            first_row += num_rows
        active = [search for search in active if not search.is_over]
        if not active:
            return [max(search.ended)[1] for search in searches]
        rows_R, tokens_R = torch.tensor(extended, device=log_p_RV.device).unbind(1)
        log_p_RV = model.then(tokens_R, rows_R)


@dataclass
class _BeamSearch:
    """The beams of one prompt: live hypotheses with their log-probabilities, and ended ones with their scores."""

    max_tokens: int
    num_beams: int
    length_penalty: float
    length: int = 0
    live: list[tuple[float, list[int]]] = field(default_factory=lambda: [(0.0, [])])
    ended: list[tuple[float, list[int]]] = field(default_factory=list)
    is_over: bool = False

    def step(self, scores: list[float], places: list[int], vocabulary: int, end: int) -> list[tuple[int, int]]:
        """Extend by the best next tokens, best first; return each live hypothesis's earlier row and its token."""
        self.length += 1
        extended: list[tuple[float, int, int]] = []
        for rank, (score, place) in enumerate(zip(scores, places, strict=True)):
            if score == -torch.inf or len(extended) == self.num_beams:
                break
            row, token = divmod(place, vocabulary)
            if token != end:
                extended.append((score, row, token))
            elif rank < self.num_beams:
                self.ended.append((score / self.length**self.length_penalty, self.live[row][1]))
        self.live = [(score, [*self.live[row][1], token]) for score, row, token in extended]
        enough = len(self.ended) >= self.num_beams
        self.is_over = enough or not self.live or self.length == self.max_tokens
        if self.is_over and not enough:
            self.ended += [(score / self.length**self.length_penalty, tokens) for score, tokens in self.live]
        return [(row, token) for _, row, token in extended]


def _best(
    log_p_RV: torch.Tensor, searches: Sequence[_BeamSearch], most: int
) -> Iterator[tuple[list[float], list[int]]]:
    """Yield the scores of each prompt's best next tokens, and their indices in its concatenated rows.

    With twice the number of beams, enough are left if half of them end.
    """
    counts, vocabulary = [len(search.live) for search in searches], log_p_RV.shape[1]
    before_R = log_p_RV.new_tensor([score for search in searches for score, _ in search.live])
    p_R = torch.tensor([p for p, n in enumerate(counts) for _ in range(n)], device=log_p_RV.device)
    k_R = torch.tensor([k for n in counts for k in range(n)], device=log_p_RV.device)
    scores_PKV = log_p_RV.new_full((len(searches), max(counts), vocabulary), -torch.inf)
    scores_PKV[p_R, k_R] = log_p_RV + before_R.unsqueeze(1)
    best = scores_PKV.flatten(1).topk(min(most, max(counts) * vocabulary))
    yield from zip(best.values.tolist(), best.indices.tolist(), strict=True)
