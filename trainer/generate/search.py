"""Search: from what is expected next, to the tokens that are said. Greedy, or by beams.

Letters: R rows (of greedy search a prompt each, of beam search a beam each), V vocabulary.
"""

from typing import Protocol

import torch


class Expectation(Protocol):
    """What may come next, as log-probabilities (R, V) float32."""

    def first(self) -> torch.Tensor:
        """Return what comes first in each row."""

    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        """Return what comes next when rows, by their numbers before, go on with a token each."""


def greedy(expected: Expectation, max_tokens: int, end: int) -> list[list[int]]:
    """Take the likeliest token each time, in every row until `end`, which is left out."""
    log_p_RV = expected.first()
    said: list[torch.Tensor] = []
    ended_R = torch.zeros(len(log_p_RV), dtype=torch.bool, device=log_p_RV.device)
    rows_R = torch.arange(len(log_p_RV), device=log_p_RV.device)
    while True:
        said.append(log_p_RV.argmax(-1).masked_fill(ended_R, end))
        ended_R |= said[-1] == end
        if len(said) == max_tokens or ended_R.all():
            break
        log_p_RV = expected.then(said[-1], rows_R)
    rows = torch.stack(said, 1).tolist()
    return [row[: row.index(end)] if end in row else row for row in rows]


def beam(expected: Expectation, num_beams: int, max_tokens: int, end: int, length_penalty: float = 1.0) -> list[int]:
    """Go on with the `num_beams` likeliest beginnings of one prompt until as many have come to their `end`.

    The best is the one of the highest log-probability / length ** length_penalty, `end` counted; it is left out of what
    is returned. Beginnings that are cut at `max_tokens` compete when fewer have ended. One beam is greedy search.
    """
    log_p_RV = expected.first()
    live: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for length in range(1, max_tokens + 1):
        vocabulary = log_p_RV.shape[1]
        scores = (log_p_RV + log_p_RV.new_tensor([score for score, _ in live]).unsqueeze(1)).flatten()
        best = scores.topk(min(2 * num_beams, len(scores)))  # as at most half of them end
        going_on: list[tuple[float, int, int]] = []
        for rank, (score, place) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            row, token = divmod(place, vocabulary)
            if score == -torch.inf:
                break
            if token != end:
                going_on.append((score, row, token))
            elif rank < num_beams:
                ended.append((score / length**length_penalty, live[row][1]))
        going_on = going_on[:num_beams]
        live = [(score, [*live[row][1], token]) for score, row, token in going_on]
        if len(ended) >= num_beams or not live:
            break
        if length < max_tokens:
            rows, tokens = (torch.tensor([g[i] for g in going_on], device=log_p_RV.device) for i in (1, 2))
            log_p_RV = expected.then(tokens, rows)
    else:
        ended += [(score / max_tokens**length_penalty, tokens) for score, tokens in live]
    return max(ended)[1]
