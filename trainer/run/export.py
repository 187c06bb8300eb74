"""Export: the weights in one safetensors file, with the configuration and the tokenizer that they belong to."""

import os
import shutil
from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from schemas.errors import PathError
from schemas.secrets import redacted
from schemas.sums import sum_folder
from trainer import tokenizer
from trainer.config import TrainConfig
from trainer.model.kosmos import Kosmos
from trainer.run.processes import Processes


def export(folder: Path, model: Kosmos, config: TrainConfig, tokenizer_folder: str, processes: Processes) -> None:
    """Gather the weights on the first process and write `folder`, whole or not at all.

    `model.safetensors` holds float32 tensors by the names of `Kosmos`, `config.yaml` loads with trainer.config.load,
    `tokenizer/` with trainer.tokenizer.load.

    Raises: PathError when it cannot be written.
    """
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if processes.rank != 0:
        return
    partial = folder.with_name(f".{folder.name}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        save_file(
            {name: w.contiguous() for name, w in weights.items() if isinstance(w, torch.Tensor)},
            partial / "model.safetensors",
        )
        (partial / "config.yaml").write_text(yaml.safe_dump(redacted(config.model_dump(mode="json")), sort_keys=False))
        tokenizer.copy(tokenizer_folder, os.fspath(partial / "tokenizer"))
        sum_folder(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except (OSError, SafetensorError) as error:
        raise PathError(f"cannot write the weights to {folder}: {error}; the same command writes them again") from error
