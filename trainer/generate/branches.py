"""Branches: rows that go on from the same prompts (beams, options), laid out so that a prompt is kept once.

All that the rows of a prompt have read stands in one row of the cache, one after the other. A branch looks at its own
way back alone, so nothing is copied when one goes on from another.
Letters: P prompts, R rows, each of a prompt, T tokens that each goes on with at once, S positions of a prompt with all
that its rows have read, N of them new.
"""

from dataclasses import dataclass
from typing import Self

import torch

from trainer.tokenizer import PAD


@dataclass(frozen=True)
class Reading:
    """What is to be read: tokens (P, N) int64; `looks` (P, N, S) bool, True where one looks; and where rows stand."""

    tokens_PN: torch.Tensor
    looks_PNS: torch.Tensor
    at: tuple[torch.Tensor, torch.Tensor]
    """Of each row's tokens, the prompt (R, 1), and the place among its N positions (R, T)."""

    @property
    def positions_PN(self) -> torch.Tensor:
        """Each token's number along its own branch, from 0."""
        return self.looks_PNS.sum(2) - 1


@dataclass
class Branches:
    """Rows: of each the positions of its way back, (R, S) bool, and the prompt in whose row of the cache it stands."""

    back_RS: torch.Tensor
    prompt_R: torch.Tensor

    @classmethod
    def of(cls, prompts_PS: torch.Tensor) -> Self:
        """Begin with a row for each prompt, whose tokens stand where `prompts` is True."""
        return cls(prompts_PS, torch.arange(len(prompts_PS), device=prompts_PS.device))

    def go_on(self, rows_R: torch.Tensor) -> None:
        """Take the rows with these numbers in place of all; a number may come again."""
        self.back_RS, self.prompt_R = self.back_RS[rows_R], self.prompt_R[rows_R]

    def kept(self, num_prompts: int) -> torch.Tensor | None:
        """Return the prompts that rows go on from, once half of what the cache holds is none of them; it then does."""
        prompts: torch.Tensor = torch.unique(self.prompt_R)
        if 2 * len(prompts) > num_prompts:
            return None
        self.prompt_R = torch.searchsorted(prompts, self.prompt_R)
        return prompts

    def read(self, tokens_RT: torch.Tensor, num_prompts: int) -> Reading:
        """Let every row read tokens, which its way back leads over from now on."""
        rows, length = tokens_RT.shape
        number_R = (self.prompt_R.unsqueeze(1) == self.prompt_R).tril(-1).sum(1)  # among the rows of its prompt
        place_RT = number_R.unsqueeze(1) * length + torch.arange(length, device=tokens_RT.device)
        at = self.prompt_R.unsqueeze(1), place_RT
        tokens_PN = tokens_RT.new_full((num_prompts, (int(number_R.max()) + 1) * length), PAD)
        tokens_PN[at] = tokens_RT
        own_RTN = torch.zeros(rows, length, tokens_PN.shape[1], dtype=torch.bool, device=tokens_RT.device)
        causal_RTT = torch.ones_like(own_RTN[:, :, :length]).tril()
        own_RTN.scatter_(2, place_RT.unsqueeze(1).expand(-1, length, -1), causal_RTT)
        looks_RTS = torch.cat([self.back_RS.unsqueeze(1).expand(-1, length, -1), own_RTN], dim=2)
        looks_PNS = looks_RTS.new_zeros(num_prompts, tokens_PN.shape[1], looks_RTS.shape[2])
        looks_PNS[:, :, -1] = True  # what stands in no row looks at something, or softmax has nothing to share out
        looks_PNS[at] = looks_RTS
        self.back_RS = looks_RTS[:, -1]
        return Reading(tokens_PN, looks_PNS, at)
