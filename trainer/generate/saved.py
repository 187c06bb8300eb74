"""What a training run left behind, ready to generate: model, tokenizer, configuration."""

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.state_dict_loader import load as load_tensors

from schemas.errors import IntegrityError, PathError
from schemas.overrides import validate
from trainer import config as configuration
from trainer import tokenizer as tokenizers
from trainer.config import TrainConfig
from trainer.model.kosmos import Kosmos
from trainer.run.checkpoint import STATE
from trainer.tokenizer import Tokenizer

_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Saved:
    """A trained model that only reads and writes: no dropout, no gradients."""

    model: Kosmos
    tokenizer: Tokenizer
    config: TrainConfig
    device: torch.device


def load(place: str, tokenizer: str | None = None) -> Saved:
    """Load exported weights or a checkpoint, or of a run's folder the exported weights, else its newest checkpoint.

    The tokenizer is looked for beside them, unless `tokenizer` names another folder.

    Raises: PathError when one of them is missing; IntegrityError when they do not belong together.
    """
    folder = find(Path(place))
    exported = (folder / _WEIGHTS).is_file()
    if exported:
        config, beside, wanted = configuration.load(os.fspath(folder / "config.yaml")), folder / "tokenizer", None
    else:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        config, wanted = validate(TrainConfig, state["config"], f"the configuration of {folder}"), state["loader"]
        beside = folder.parent.parent / "tokenizer"
    words = tokenizers.load(tokenizer or os.fspath(beside))
    if wanted is not None and wanted["tokenizer"] != words.sha256:
        raise IntegrityError(f"{folder} was trained with another tokenizer than {tokenizer or beside}; --tokenizer")
    with torch.device("meta"):  # no memory is filled with weights that would be thrown away
        model = Kosmos(config, words.vocab_size, pretrained=False)
    if exported:
        weights = load_file(folder / _WEIGHTS)
    else:
        named = {f"model.{name}": torch.empty_like(w, device="cpu") for name, w in model.state_dict().items()}
        with warnings.catch_warnings(action="ignore"):  # that it reads alone, which is meant
            load_tensors(named, storage_reader=HuggingFaceStorageReader(os.fspath(folder)), no_dist=True)
        weights = {name.removeprefix("model."): w for name, w in named.items()}
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise IntegrityError(f"the weights in {folder} are not of its configuration: {error}") from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Saved(model.to(device).eval().requires_grad_(False), words, config, device)


def find(place: Path) -> Path:
    """Return the folder of exported weights or of a checkpoint that a place means.

    Raises: PathError when there is neither.
    """
    for run in (place, place / "checkpoints"):
        for folder in (run, run / "model", *sorted(run.glob("step-*"), reverse=True)):
            if (folder / _WEIGHTS).is_file() or (folder / STATE).is_file():
                return folder
    raise PathError(f"no checkpoint in {place}; `weft train` makes one")
