"""The generation engine: prompts of words and images, continued row by row with a KV cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image

from schemas.display import shorten
from schemas.errors import IntegrityError, PathError, RecipeError
from schemas.shards import Block
from trainer.data import packing
from trainer.data.batches import framing
from trainer.data.packing import Mask, Tokens
from trainer.data.streams import MAX_PIXELS
from trainer.load import Saved
from trainer.model.attention import Cache
from trainer.tokenizer import BOS, END_IMAGE, EOS, IMAGE, PAD, UNK, Tokenizer

PLACEHOLDER = "<image>"
_EMPTY = Block(kind="", text="", image="", image_id="", image_url="", alt="", caption="", score=0.0)


@dataclass(frozen=True)
class Prompt:
    """A prompt as it is read; L tokens."""

    tokens_L: Tokens
    image_mask_L: Mask
    images: tuple[Path, ...]


def format_prompt(
    tokenizer: Tokenizer, words: str, images: list[Path], num_image_tokens: int, max_tokens: int
) -> Prompt:
    """Put images where `<image>` stands in the words, in order; if it stands nowhere, before them.

    Raises: RecipeError when the words are not UTF-8, when there are more placeholders than images or the other way
        round, or when the prompt leaves the model no room for a token; PathError when an image does not exist.
    """
    try:
        words.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(f"the prompt is not UTF-8 (character {error.start})") from error
    for image in images:
        if not image.is_file():
            raise PathError(f"no image {image}")
    parts = words.split(PLACEHOLDER) if PLACEHOLDER in words else [""] * len(images) + [words]
    if len(parts) - 1 != len(images):
        raise RecipeError(f"the prompt has {len(parts) - 1} {PLACEHOLDER} for {len(images)} images")
    blocks: list[Block] = []
    for text, image in zip_longest(parts, images):
        if text.strip():
            blocks.append({**_EMPTY, "kind": "text", "text": text.strip()})
        if image is not None:
            blocks.append({**_EMPTY, "kind": "image", "image": str(image)})
    document = packing.interleaved(tokenizer, blocks, num_image_tokens)
    length = len(document.tokens_L) - 1  # all but </s>, which is the model's to say
    if length >= max_tokens:
        raise RecipeError(f"the prompt takes {length} tokens, images included; the model reads {max_tokens} at most")
    return Prompt(document.tokens_L[:length], np.asarray(document.image_mask_L[:length]), tuple(images))


@dataclass(frozen=True)
class Reading:
    """What is to be read: tokens (P, N) int64; `looks` (P, N, S) bool, True where one looks; and where rows stand."""

    tokens_PN: torch.Tensor
    mask_PNS: torch.Tensor
    at: tuple[torch.Tensor, torch.Tensor]
    """Of each row's tokens, the prompt (R, 1), and the place among its N positions (R, T)."""

    @property
    def positions_PN(self) -> torch.Tensor:
        """Each token's number along its own branch, from 0."""
        return self.mask_PNS.sum(2) - 1


@dataclass
class CacheForks:
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
        mask_RTS = torch.cat([self.back_RS.unsqueeze(1).expand(-1, length, -1), own_RTN], dim=2)
        mask_PNS = mask_RTS.new_zeros(num_prompts, tokens_PN.shape[1], mask_RTS.shape[2])
        mask_PNS[:, :, -1] = True  # what stands in no row looks at something, or softmax has nothing to share out
        mask_PNS[at] = mask_RTS
        self.back_RS = mask_RTS[:, -1]
        return Reading(tokens_PN, mask_PNS, at)


class GenerationEngine:
    """Prompts being continued, at first by a row each. They are read once; every further token costs one position."""

    def __init__(self, saved: Saved, prompts: list[Prompt], max_tokens: int) -> None:
        self._saved, self._prompts = saved, prompts
        self._longest = max(len(prompt.tokens_L) for prompt in prompts)
        self._cache = Cache(saved.config.model.layers, self._longest + max_tokens)

    @torch.inference_mode()
    def first(self) -> torch.Tensor:
        """Read the prompts; return the log-probabilities (R, V) of the token behind each."""
        prompts_PL = self._padded([np.ones_like(p.tokens_L) for p in self._prompts], 0)
        self._branches = CacheForks.of(prompts_PL.bool())
        tokens_PL = self._padded([p.tokens_L for p in self._prompts], PAD)
        slots_PL = self._padded([p.image_mask_L for p in self._prompts], 0).bool()
        images = [pixels(image, self._saved) for p in self._prompts for image in p.images]
        pixels_ICHW = torch.stack(images).to(self._saved.device) if images else None
        states = self._saved.model.states(tokens_PL, slots_PL, prompts_PL, pixels_ICHW, self._cache)
        return self._log_p(states[:, -1])

    @torch.inference_mode()
    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        """Go on from earlier rows, by their numbers, with a token each; return log-probabilities (R, V) again."""
        self._branches.go_on(rows_R)
        kept = self._branches.kept(self._cache.num_rows)
        if kept is not None:
            self._cache.select(kept)
        return self._read(tokens_R.unsqueeze(1))[:, -1]

    @torch.inference_mode()
    def score(self, options: Sequence[Sequence[np.ndarray]]) -> list[list[float]]:
        """Read the prompts; return the log-probability of each prompt's options, arrays of one token or more."""
        flat = [option for of_prompt in options for option in of_prompt]
        rows_O = torch.tensor([row for row, of_prompt in enumerate(options) for _ in of_prompt])
        rows_O = rows_O.to(self._saved.device)
        longest = max(map(len, flat))
        tokens_OT = torch.from_numpy(np.stack([np.pad(o, (0, longest - len(o)), constant_values=PAD) for o in flat]))
        tokens_OT = tokens_OT.long().to(self._saved.device)
        log_p_OV = self.first()[rows_O]
        self._branches.go_on(rows_O)
        found_O = log_p_OV.gather(1, tokens_OT[:, :1]).squeeze(1)
        if longest > 1:
            rest_OTV = self._read(tokens_OT[:, :-1])
            rest_OT = rest_OTV.gather(2, tokens_OT[:, 1:].unsqueeze(2)).squeeze(2)
            found_O = found_O + rest_OT.masked_fill(tokens_OT[:, 1:] == PAD, 0).sum(1)
        found = iter(found_O.tolist())
        return [[next(found) for _ in of_prompt] for of_prompt in options]

    def _read(self, tokens_RT: torch.Tensor) -> torch.Tensor:
        """Go on with T tokens a row, <pad> behind the shorter; return log-probabilities (R, T, V)."""
        reading = self._branches.read(tokens_RT, self._cache.num_rows)
        states_PNM = self._saved.model.continue_states(
            reading.tokens_PN, reading.mask_PNS, reading.positions_PN, self._cache
        )
        return self._log_p(states_PNM[reading.at])

    def _log_p(self, states: torch.Tensor) -> torch.Tensor:
        logits = self._saved.model.logits(states).float()
        logits[..., EOS] = torch.logaddexp(logits[..., EOS], logits[..., IMAGE])
        logits[..., [PAD, UNK, BOS, IMAGE, END_IMAGE]] = -torch.inf  # nothing that words can be made of
        logits[..., self._saved.tokenizer.vocab_size :] = -torch.inf  # padding of the embedding
        return logits.log_softmax(-1)

    def _padded(self, arrays: list[np.ndarray], value: int) -> torch.Tensor:
        rows = [np.pad(a.astype(np.int64), (self._longest - len(a), 0), constant_values=value) for a in arrays]
        return torch.from_numpy(np.stack(rows)).to(self._saved.device)


def pixels(path: Path, saved: Saved) -> torch.Tensor:
    """Read an image of any format that Pillow knows to (C, H, W) float32, cut and normalised as in training.

    Raises: IntegrityError when it is no image.
    """
    preprocess = saved.model.vision.preprocess
    frame = framing(preprocess)
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise IntegrityError(f"{image.width} × {image.height} pixels are more than {MAX_PIXELS}")
            image.draft(None, (frame.side, frame.side))
            picture = torch.from_numpy(np.array(frame.frame(image.convert("RGB")))).permute(2, 0, 1).float() / 255
    except Exception as error:  # decoders raise whatever they like
        raise IntegrityError(f"{path} cannot be read as an image: {shorten(error)}") from error
    mean, std = (picture.new_tensor(v).view(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return (picture - mean) / std
