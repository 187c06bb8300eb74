"""Continuations: what a model expects to come next, for several rows at once, by its cache.

Letters: P prompts, L tokens of the longest, R rows that go on from them, O options, T tokens that are read at once,
V vocabulary, I images, C H W of a picture.
Log-probabilities are float32. Prompts end at the same position: the shorter ones are padded in front, which nobody
looks at, and positions are counted within the prompt. Words end at </s>, and before an image: what the model gives to
<image> counts for </s>, as it cannot draw one.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from schemas.display import shorten
from schemas.errors import IntegrityError
from trainer.data.batches import framing
from trainer.data.images import MAX_PIXELS
from trainer.generate.branches import Branches
from trainer.generate.prompt import Prompt
from trainer.model.cache import Cache
from trainer.saved import Saved
from trainer.tokenizer import BOS, END_IMAGE, EOS, IMAGE, PAD, UNK


class Continuation:
    """Prompts being continued, at first by a row each. They are read once; every further token costs one position."""

    def __init__(self, saved: Saved, prompts: list[Prompt], max_tokens: int) -> None:
        self._saved, self._prompts = saved, prompts
        self._longest = max(len(prompt.tokens_L) for prompt in prompts)
        self._cache = Cache(saved.config.model.layers, self._longest + max_tokens)

    @torch.inference_mode()
    def first(self) -> torch.Tensor:
        """Read the prompts; return the log-probabilities (R, V) of the token behind each."""
        prompts_PL = self._padded([np.ones_like(p.tokens_L) for p in self._prompts], 0)
        self._branches = Branches.of(prompts_PL.bool())
        tokens_PL = self._padded([p.tokens_L for p in self._prompts], PAD)
        slots_PL = self._padded([p.slots_L for p in self._prompts], 0).bool()
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
        states_PNM = self._saved.model.branches(reading.tokens_PN, reading.looks_PNS, reading.positions_PN, self._cache)
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
