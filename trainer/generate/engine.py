"""The generation engine: prompts of text and images, continued row by row with a KV cache.

Tensor letters: P prompts (rows of the cache), L tokens of a prompt, S positions of the cache, N new positions of a row
of the cache; R rows (continuations, of which a prompt may have several), T tokens of a row, V vocabulary, M width of
the model, O options.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Self

import numpy as np
import torch

from schemas.display import shorten
from schemas.errors import IntegrityError, PathError, RecipeError
from schemas.shards import Block
from trainer.data import packing
from trainer.data.batches import framing
from trainer.data.packing import Mask, Tokens
from trainer.load import Saved
from trainer.model.attention import Cache
from trainer.tokenizer import BOS, END_IMAGE, EOS, IMAGE, PAD, UNK, Tokenizer

PLACEHOLDER = "<image>"
_EMPTY = Block(kind="", text="", image="", image_id="", image_url="", alt="", caption="", score=0.0)


@dataclass(frozen=True)
class Prompt:
    """An encoded prompt; L tokens."""

    tokens_L: Tokens
    image_mask_L: Mask
    images: tuple[Path, ...]


def format_prompt(
    tokenizer: Tokenizer, text: str, images: list[Path], num_image_tokens: int, max_tokens: int
) -> Prompt:
    """Replace each `<image>` in the text by an image, in order; without `<image>`, put the images first.

    Raises: RecipeError when the text is not UTF-8, placeholders and images differ in number, or the prompt leaves no
        room for a token; PathError when an image does not exist.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(f"the prompt is not UTF-8 (character {error.start})") from error
    for image in images:
        if not image.is_file():
            raise PathError(f"no image {image}")
    parts = text.split(PLACEHOLDER) if PLACEHOLDER in text else [""] * len(images) + [text]
    if len(parts) - 1 != len(images):
        raise RecipeError(f"the prompt has {len(parts) - 1} {PLACEHOLDER} for {len(images)} images")
    blocks: list[Block] = []
    for part, image in zip_longest(parts, images):
        if part.strip():
            blocks.append({**_EMPTY, "kind": "text", "text": part.strip()})
        if image is not None:
            blocks.append({**_EMPTY, "kind": "image", "image": str(image)})
    document = packing.interleaved(tokenizer, blocks, num_image_tokens)
    length = len(document.tokens_L) - 1  # without </s>, which the model may generate
    if length >= max_tokens:
        raise RecipeError(f"the prompt takes {length} tokens, images included; the model reads {max_tokens} at most")
    return Prompt(document.tokens_L[:length], np.asarray(document.image_mask_L[:length]), tuple(images))


@dataclass(frozen=True)
class ForkBatch:
    """The next forward pass: tokens (P, N) int64, their attention mask (P, N, S) bool, and the indices of rows."""

    tokens_PN: torch.Tensor
    mask_PNS: torch.Tensor
    index: tuple[torch.Tensor, torch.Tensor]
    """Of each row's tokens, the prompt (R, 1) and the index among its N new positions (R, T)."""

    @property
    def positions_PN(self) -> torch.Tensor:
        """The position of each token along its own fork, from 0."""
        return self.mask_PNS.sum(2) - 1


@dataclass
class CacheForks:
    """Forks of the KV cache: rows share the cache of their prompt, and `mask_RS` selects the positions of each row."""

    mask_RS: torch.Tensor
    prompt_R: torch.Tensor

    @classmethod
    def of(cls, prompts_PS: torch.Tensor) -> Self:
        """Start with a row for each prompt, whose tokens are where `prompts` is True."""
        return cls(prompts_PS, torch.arange(len(prompts_PS), device=prompts_PS.device))

    def select(self, rows_R: torch.Tensor) -> None:
        """Replace the rows by those at these indices; an index may be repeated."""
        self.mask_RS, self.prompt_R = self.mask_RS[rows_R], self.prompt_R[rows_R]

    def compact(self, num_prompts: int) -> torch.Tensor | None:
        """Renumber the prompts once at least half have no row left; return those to keep in the cache, else None."""
        prompts: torch.Tensor = torch.unique(self.prompt_R)
        if 2 * len(prompts) > num_prompts:
            return None
        self.prompt_R = torch.searchsorted(prompts, self.prompt_R)
        return prompts

    def append(self, tokens_RT: torch.Tensor, num_prompts: int) -> ForkBatch:
        """Append tokens to every row; return their forward pass."""
        rows, length = tokens_RT.shape
        fork_R = (self.prompt_R.unsqueeze(1) == self.prompt_R).tril(-1).sum(1)  # index among the rows of its prompt
        place_RT = fork_R.unsqueeze(1) * length + torch.arange(length, device=tokens_RT.device)
        index = self.prompt_R.unsqueeze(1), place_RT
        tokens_PN = tokens_RT.new_full((num_prompts, (int(fork_R.max()) + 1) * length), PAD)
        tokens_PN[index] = tokens_RT
        own_RTN = torch.zeros(rows, length, tokens_PN.shape[1], dtype=torch.bool, device=tokens_RT.device)
        causal_RTT = torch.ones_like(own_RTN[:, :, :length]).tril()
        own_RTN.scatter_(2, place_RT.unsqueeze(1).expand(-1, length, -1), causal_RTT)
        mask_RTS = torch.cat([self.mask_RS.unsqueeze(1).expand(-1, length, -1), own_RTN], dim=2)
        mask_PNS = mask_RTS.new_zeros(num_prompts, tokens_PN.shape[1], mask_RTS.shape[2])
        mask_PNS[:, :, -1] = True  # padding attends to something, or softmax returns NaN
        mask_PNS[index] = mask_RTS
        self.mask_RS = mask_RTS[:, -1]
        return ForkBatch(tokens_PN, mask_PNS, index)


class GenerationEngine:
    """Continues prompts, with one row each at first. A prompt is encoded once; each further token, one position."""

    def __init__(self, saved: Saved, prompts: list[Prompt], max_tokens: int) -> None:
        self._saved, self._prompts = saved, prompts
        self._longest = max(len(prompt.tokens_L) for prompt in prompts)
        self._cache = Cache(saved.config.model.layers, self._longest + max_tokens)

    @torch.inference_mode()
    def first(self) -> torch.Tensor:
        """Encode the prompts; return the log-probabilities (R, V) of the token after each."""
        prompts_PL = self._padded([np.ones_like(p.tokens_L) for p in self._prompts], 0)
        self._forks = CacheForks.of(prompts_PL.bool())
        tokens_PL = self._padded([p.tokens_L for p in self._prompts], PAD)
        image_mask_PL = self._padded([p.image_mask_L for p in self._prompts], 0).bool()
        images = [pixels(image, self._saved) for p in self._prompts for image in p.images]
        pixels_ICHW = torch.stack(images).to(self._saved.device) if images else None
        states = self._saved.model.states(tokens_PL, image_mask_PL, prompts_PL, pixels_ICHW, self._cache)
        return self._log_p(states[:, -1])

    @torch.inference_mode()
    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        """Append a token to earlier rows, by their indices; return the log-probabilities (R, V) of the next one."""
        self._forks.select(rows_R)
        kept = self._forks.compact(self._cache.num_rows)
        if kept is not None:
            self._cache.select(kept)
        return self._append(tokens_R.unsqueeze(1))[:, -1]

    @torch.inference_mode()
    def score(self, options: Sequence[Sequence[np.ndarray]]) -> list[list[float]]:
        """Encode the prompts; return the log-probability of each prompt's options, arrays of one token or more."""
        flat = [option for of_prompt in options for option in of_prompt]
        rows_O = torch.tensor([row for row, of_prompt in enumerate(options) for _ in of_prompt])
        rows_O = rows_O.to(self._saved.device)
        longest = max(map(len, flat))
        tokens_OT = torch.from_numpy(np.stack([np.pad(o, (0, longest - len(o)), constant_values=PAD) for o in flat]))
        tokens_OT = tokens_OT.long().to(self._saved.device)
        log_p_OV = self.first()[rows_O]
        self._forks.select(rows_O)
        found_O = log_p_OV.gather(1, tokens_OT[:, :1]).squeeze(1)
        if longest > 1:
            rest_OTV = self._append(tokens_OT[:, :-1])
            rest_OT = rest_OTV.gather(2, tokens_OT[:, 1:].unsqueeze(2)).squeeze(2)
            found_O = found_O + rest_OT.masked_fill(tokens_OT[:, 1:] == PAD, 0).sum(1)
        found = iter(found_O.tolist())
        return [[next(found) for _ in of_prompt] for of_prompt in options]

    def _append(self, tokens_RT: torch.Tensor) -> torch.Tensor:
        """Append T tokens to each row, padded on the right; return log-probabilities (R, T, V)."""
        batch = self._forks.append(tokens_RT, self._cache.num_rows)
        states_PNM = self._saved.model.continue_states(batch.tokens_PN, batch.mask_PNS, batch.positions_PN, self._cache)
        return self._log_p(states_PNM[batch.index])

    def _log_p(self, states: torch.Tensor) -> torch.Tensor:
        logits = self._saved.model.logits(states).float()
        logits[..., EOS] = torch.logaddexp(logits[..., EOS], logits[..., IMAGE])
        logits[..., [PAD, UNK, BOS, IMAGE, END_IMAGE]] = -torch.inf  # never generated
        logits[..., self._saved.tokenizer.vocab_size :] = -torch.inf  # padding of the embedding
        return logits.log_softmax(-1)

    def _padded(self, arrays: list[np.ndarray], value: int) -> torch.Tensor:
        rows = [np.pad(a.astype(np.int64), (self._longest - len(a), 0), constant_values=value) for a in arrays]
        return torch.from_numpy(np.stack(rows)).to(self._saved.device)


def pixels(path: Path, saved: Saved) -> torch.Tensor:
    """Read an image of any format that Pillow supports to (C, H, W) float32, cropped and normalised as in training.

    Raises: IntegrityError when it is not an image.
    """
    preprocess = saved.model.vision.preprocess
    try:
        pixels_HWC = framing(preprocess).read(path)
    except Exception as error:
        raise IntegrityError(f"{path} cannot be read as an image: {shorten(error)}") from error
    pixels_CHW = torch.from_numpy(pixels_HWC.copy()).permute(2, 0, 1).float() / 255
    mean_C11, std_C11 = (pixels_CHW.new_tensor(v).view(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return (pixels_CHW - mean_C11) / std_C11
