"""Load the result of a training run: model, tokenizer and configuration, to generate or to start training."""

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
_SIZES = {  # keys of the configuration that determine the shapes and the meaning of the weights
    "model": ("layers", "width", "ffn_width", "heads", "positions", "vocabulary_multiple"),
    "vision": ("model", "tower", "latents"),
}


@dataclass(frozen=True)
class Saved:
    """A trained model in evaluation mode, without gradients."""

    model: Kosmos
    tokenizer: Tokenizer
    config: TrainConfig
    device: torch.device


@dataclass(frozen=True)
class WeightsFolder:
    """A folder of weights, with their configuration and tokenizer."""

    path: Path
    config: TrainConfig
    tokenizer: str
    """Default folder of their tokenizer."""
    tokenizer_sha256: str | None
    """Digest of the tokenizer that they were trained with; None: unknown."""

    @property
    def is_export(self) -> bool:
        return (self.path / _WEIGHTS).is_file()

    def load_tokenizer(self, folder: str | None = None) -> Tokenizer:
        """Load their tokenizer, from another folder if one is given.

        Raises: PathError when there is none; IntegrityError when the weights were trained with another one.
        """
        tokenizer = tokenizers.load(folder or self.tokenizer)
        if self.tokenizer_sha256 not in (None, tokenizer.sha256):
            place = folder or self.tokenizer
            raise IntegrityError(
                f"{self.path} was trained with another tokenizer than {place}; name it with --tokenizer"
            )
        return tokenizer

    def check_num_parameters(self) -> None:
        """Check the sizes of the files against the number of parameters, before a model is allocated.

        Raises: IntegrityError when there is less than a byte for each parameter.
        """
        num_bytes = sum(path.stat().st_size for path in self.path.glob("*.safetensors"))
        num_parameters = self.config.model.min_parameters + self.config.vision.min_parameters
        if num_bytes < num_parameters:
            raise IntegrityError(
                f"{self.path} is damaged or not of its configuration, which has {num_parameters:,} parameters, and the "
                f"files of the weights have {num_bytes:,} bytes"
            )

    def check_sizes(self, config: TrainConfig) -> None:
        """Check that the weights fit the model of a configuration.

        Raises: IntegrityError that names the keys.
        """
        there, here = (c.model_dump(mode="json") for c in (self.config, config))
        values = {f"{s}.{key}": (there[s][key], here[s][key]) for s, keys in _SIZES.items() for key in keys}
        differ = [f"{key} is {one!r} there and {other!r} here" for key, (one, other) in values.items() if one != other]
        if differ:
            raise IntegrityError(f"the weights in {self.path} have other sizes: {'; '.join(differ)}")

    def load_weights(self, model: Kosmos) -> None:
        """Load the weights into a model of their sizes, which may be on the meta device.

        Raises: IntegrityError when the files were changed, have other tensors, or a value is not finite.
        """
        if damaged := check_folder(self.path):
            raise IntegrityError(
                f"{self.path} has changed since it was written: {', '.join(damaged)}; copy the folder again"
            )
        checkpoint.check_files(self.path)
        if self.is_export:
            weights = load_file(self.path / _WEIGHTS)
        else:
            named = {f"model.{name}": torch.empty_like(w, device="cpu") for name, w in model.state_dict().items()}
            checkpoint.read_tensors(self.path, named, alone=True)
            weights = {name.removeprefix("model."): w for name, w in named.items()}
        if wrong := [name for name, w in weights.items() if not w.is_floating_point()]:
            raise IntegrityError(f"the weights in {self.path} are not floating-point numbers: {wrong[0]}")
        checkpoint.check_finite(weights, self.path)
        weights = {name: w.to(torch.float32) for name, w in weights.items()}
        try:
            model.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            raise IntegrityError(
                f"the weights in {self.path} are not of its configuration: {shorten(error)}"
            ) from error


def sizes(place: str) -> dict[str, Any]:
    """Return the defaults that a run takes from the configuration of the weights that it starts from.

    Raises: as `open_saved`.
    """
    saved = open_saved(place).config.model_dump(mode="json")
    data = {key: saved["data"][key] for key in ("sequence_length", "rows_per_micro_step", "streams", "workers")}
    return {
        **{key: saved[key] for key in ("model", "vision", "precision", "cpu_threads")},
        "data": data,
        "start": place,
    }


def open_saved(place: str) -> WeightsFolder:
    """Open exported weights or a checkpoint; of a run's folder the exported weights, else the newest checkpoint.

    Raises: PathError when there is none.
    """
    folder = resolve(Path(place))
    if (folder / _WEIGHTS).is_file():
        tokenizer = os.fspath(folder / "tokenizer")
        about = tokenizers.about(tokenizer)
        config = configuration.load(os.fspath(folder / "config.yaml"))
        return WeightsFolder(folder, config, tokenizer, None if about is None else about["sha256"])
    state = checkpoint.read_state(folder)
    config = validate(TrainConfig, state.config, f"the configuration of {folder}")
    trained_with = str(state.loader.get("tokenizer"))
    return WeightsFolder(folder, config, os.fspath(folder.parent.parent / "tokenizer"), trained_with)


def load(place: str, tokenizer: str | None = None) -> Saved:
    """Load weights and tokenizer, ready to generate; the default tokenizer is the one beside the weights.

    Raises: PathError when one of them is missing; IntegrityError when they do not match.
    """
    found = open_saved(place)
    loaded = found.load_tokenizer(tokenizer)
    found.check_num_parameters()
    with torch.device("meta"):  # allocate no weights, since they are replaced
        model = Kosmos(found.config, loaded.vocab_size, pretrained=False)
    found.load_weights(model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Saved(model.to(device).eval().requires_grad_(False), loaded, found.config, device)


def resolve(place: Path) -> Path:
    """Return the folder of the exported weights or the newest checkpoint at a place.

    Raises: PathError when there is neither.
    """
    for run in (place, place / "checkpoints"):
        for folder in (run, run / "model", *sorted(run.glob("step-*"), reverse=True)):
            if (folder / _WEIGHTS).is_file() or (folder / STATE).is_file():
                return folder
    raise PathError(f"no checkpoint in {place}; `weft train` makes one")
