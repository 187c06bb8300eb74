"""Continuations: what a model expects to come next, for several rows at once, by its cache.

Letters: R rows, P positions of the longest prompt, V vocabulary, L tokens of a prompt, I images, C H W of a picture.
Log-probabilities are float32. Prompts end at the same position: the shorter ones are padded in front, which nobody
looks at, and positions are counted within the prompt.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from schemas.errors import IntegrityError
from trainer.data.batches import framing
from trainer.generate.prompt import Prompt
from trainer.generate.saved import Saved
from trainer.model.cache import Cache
from trainer.tokenizer import BOS, END_IMAGE, IMAGE, PAD, UNK


class Continuation:
    """Prompts being continued. The prompts are read once; every further token costs one position."""

    def __init__(self, saved: Saved, prompts: list[Prompt], max_tokens: int) -> None:
        self._saved, self._prompts = saved, prompts
        self._longest = max(len(prompt.tokens_L) for prompt in prompts)
        self._cache = Cache(saved.config.model.layers, self._longest + max_tokens)
        self._stretches_RS = self._padded([np.ones_like(p.tokens_L) for p in prompts], 0)

    @torch.no_grad()
    def first(self) -> torch.Tensor:
        """Read the prompts; return the log-probabilities (R, V) of the token behind each."""
        tokens_RP = self._padded([p.tokens_L for p in self._prompts], PAD)
        slots_RP = self._padded([p.slots_L for p in self._prompts], 0).bool()
        images = [pixels(image, self._saved) for p in self._prompts for image in p.images]
        pixels_ICHW = torch.stack(images).to(self._saved.device) if images else None
        return self._expect(tokens_RP, slots_RP, pixels_ICHW)

    @torch.no_grad()
    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        """Go on from earlier rows, by their numbers, with a token each; return log-probabilities (R, V) again."""
        if not torch.equal(rows_R, torch.arange(len(self._stretches_RS), device=rows_R.device)):
            self._cache.select(rows_R)
        self._stretches_RS = torch.nn.functional.pad(self._stretches_RS[rows_R], (0, 1), value=1)
        return self._expect(tokens_R.unsqueeze(1), torch.zeros_like(tokens_R, dtype=torch.bool).unsqueeze(1), None)

    def _expect(self, tokens: torch.Tensor, slots: torch.Tensor, pixels_ICHW: torch.Tensor | None) -> torch.Tensor:
        model = self._saved.model
        states = model.states(tokens, slots, self._stretches_RS, pixels_ICHW, self._cache)
        logits_RV = model.logits(states[:, -1]).float()
        logits_RV[:, [PAD, UNK, BOS, IMAGE, END_IMAGE]] = -torch.inf  # nothing that words can be made of
        logits_RV[:, self._saved.tokenizer.vocab_size :] = -torch.inf  # padding of the embedding
        return logits_RV.log_softmax(-1)

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
            image.draft(None, (frame.side, frame.side))
            picture = torch.from_numpy(np.array(frame.frame(image.convert("RGB")))).permute(2, 0, 1).float() / 255
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise IntegrityError(f"{path} cannot be read as an image: {error}") from error
    mean, std = (picture.new_tensor(v).view(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return (picture - mean) / std
