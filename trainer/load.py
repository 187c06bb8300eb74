"""What a training run left behind: model, tokenizer, configuration; to generate with, or to train on from."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from schemas.display import shorten
from schemas.errors import IntegrityError, PathError
from schemas.integrity import check_folder
from schemas.overrides import validate
from trainer import checkpoint
from trainer import config as configuration
from trainer import tokenizer as tokenizers
from trainer.checkpoint import STATE
from trainer.config import TrainConfig
from trainer.model.kosmos import Kosmos
from trainer.tokenizer import Tokenizer

_WEIGHTS = "model.safetensors"
_SIZES = {  # keys of the configuration that the weights' shapes, and what they mean, follow from
    "model": ("layers", "width", "ffn_width", "heads", "positions", "vocabulary_multiple"),
    "vision": ("model", "tower", "latents"),
}


@dataclass(frozen=True)
class Saved:
    """A trained model that only reads and writes: no dropout, no gradients."""

    model: Kosmos
    tokenizer: Tokenizer
    config: TrainConfig
    device: torch.device


@dataclass(frozen=True)
class Found:
    """Where weights lie, and what belongs to them."""

    folder: Path
    config: TrainConfig
    tokenizer: str
    """Folder in which their tokenizer is looked for."""
    tokenizer_sha256: str | None
    """Of the tokenizer that they were trained with, where that is kept beside them."""

    @property
    def exported(self) -> bool:
        return (self.folder / _WEIGHTS).is_file()

    def tokens(self, folder: str | None = None) -> Tokenizer:
        """Load their tokenizer, from another folder if need be.

        Raises: PathError when there is none; IntegrityError when it is another one.
        """
        words = tokenizers.load(folder or self.tokenizer)
        if self.tokenizer_sha256 not in (None, words.sha256):
            place = folder or self.tokenizer
            raise IntegrityError(f"{self.folder} was trained with another tokenizer than {place}; --tokenizer")
        return words

    def check_num_parameters(self) -> None:
        """Check by the sizes of the files, before a model takes up memory and time, that they can hold its weights.

        Raises: IntegrityError when they have less than a byte for each parameter.
        """
        num_bytes = sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))
        num_parameters = self.config.model.min_parameters + self.config.vision.min_parameters
        if num_bytes < num_parameters:
            raise IntegrityError(
                f"{self.folder} is damaged, or not of its configuration, which has {num_parameters:,} parameters, and "
                f"the files of the weights have {num_bytes:,} bytes"
            )

    def check_sizes(self, config: TrainConfig) -> None:
        """Check that a configuration makes a model that the weights fit.

        Raises: IntegrityError that names the keys; as `check_num_parameters`.
        """
        self.check_num_parameters()
        there, here = (c.model_dump(mode="json") for c in (self.config, config))
        values = {f"{s}.{key}": (there[s][key], here[s][key]) for s, keys in _SIZES.items() for key in keys}
        differ = [f"{key} is {one!r} there and {other!r} here" for key, (one, other) in values.items() if one != other]
        if differ:
            raise IntegrityError(f"the weights in {self.folder} have other sizes: {'; '.join(differ)}")

    def fill(self, model: Kosmos) -> None:
        """Give a model of their sizes their weights; it may be one without memory.

        Raises: IntegrityError when the file is not as it was written, holds others, or a number that is not finite.
        """
        if damaged := check_folder(self.folder):
            raise IntegrityError(
                f"{self.folder} is damaged: it is not as it was written: {', '.join(damaged)}; copy the folder again"
            )
        checkpoint.check_files(self.folder)
        if self.exported:
            weights = load_file(self.folder / _WEIGHTS)
        else:
            named = {f"model.{name}": torch.empty_like(w, device="cpu") for name, w in model.state_dict().items()}
            checkpoint.read_tensors(self.folder, named, alone=True)
            weights = {name.removeprefix("model."): w for name, w in named.items()}
        if wrong := [name for name, w in weights.items() if not w.is_floating_point()]:
            raise IntegrityError(f"the weights in {self.folder} hold whole numbers: {wrong[0]}")
        checkpoint.check_finite(weights, self.folder)
        weights = {name: w.to(torch.float32) for name, w in weights.items()}
        try:
            model.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            raise IntegrityError(
                f"the weights in {self.folder} are not of its configuration: {shorten(error)}"
            ) from error


def sizes(place: str) -> dict[str, Any]:
    """Return what a run that starts from weights takes from their configuration, unless its own says otherwise.

    Raises: as `look`.
    """
    told = open_saved(place).config.model_dump(mode="json")
    data = {key: told["data"][key] for key in ("sequence_length", "rows_per_micro_step", "streams", "workers")}
    return {**{key: told[key] for key in ("model", "vision", "precision", "cpu_threads")}, "data": data, "start": place}


def open_saved(place: str) -> Found:
    """Look exported weights or a checkpoint up, or of a run's folder the exported weights, else its newest checkpoint.

    Raises: PathError when there is none.
    """
    folder = resolve(Path(place))
    if (folder / _WEIGHTS).is_file():
        beside = os.fspath(folder / "tokenizer")
        told = tokenizers.about(beside)
        config = configuration.load(os.fspath(folder / "config.yaml"))
        return Found(folder, config, beside, None if told is None else told["sha256"])
    state = checkpoint.read_state(folder)
    config = validate(TrainConfig, state.config, f"the configuration of {folder}")
    trained_with = str(state.loader.get("tokenizer"))
    return Found(folder, config, os.fspath(folder.parent.parent / "tokenizer"), trained_with)


def load(place: str, tokenizer: str | None = None) -> Saved:
    """Load what `look` finds, ready to generate.

    The tokenizer is looked for beside the weights, unless `tokenizer` names another folder.

    Raises: PathError when one of them is missing; IntegrityError when they do not belong together.
    """
    found = open_saved(place)
    words = found.tokens(tokenizer)
    found.check_num_parameters()
    with torch.device("meta"):  # no memory is filled with weights that would be thrown away
        model = Kosmos(found.config, words.vocab_size, pretrained=False)
    found.fill(model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Saved(model.to(device).eval().requires_grad_(False), words, found.config, device)


def resolve(place: Path) -> Path:
    """Return the folder of exported weights or of a checkpoint that a place means.

    Raises: PathError when there is neither.
    """
    for run in (place, place / "checkpoints"):
        for folder in (run, run / "model", *sorted(run.glob("step-*"), reverse=True)):
            if (folder / _WEIGHTS).is_file() or (folder / STATE).is_file():
                return folder
    raise PathError(f"no checkpoint in {place}; `weft train` makes one")
