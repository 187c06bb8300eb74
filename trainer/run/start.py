"""What a run starts from: its folder, its optimizer, the shards held out; and what it says of itself."""

import shutil
from pathlib import Path

from torch.optim import AdamW

from schemas.display import message
from schemas.errors import PathError, RecipeError
from schemas.shards import VALIDATION
from trainer.config import TrainConfig
from trainer.data.loader import Loader
from trainer.data.shards import Shards, open_shards
from trainer.model.kosmos import Kosmos
from trainer.watch import boards, lines

MODEL = "model"  # folder of the exported weights


def prepare(folder: Path, overwrite: bool) -> None:
    """Make the output folder, emptied of an earlier run's files when it is to be overwritten."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob(".step-*"):  # what a killed run was writing
            shutil.rmtree(partial)
        if overwrite:
            for old in (*folder.glob("step-*"), *folder.glob(MODEL), *folder.glob(boards.FOLDER)):
                shutil.rmtree(old)
            for name in (lines.FILE, lines.VALIDATION_FILE):
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise PathError(f"cannot write to {folder}: {error.strerror}; choose another --output") from error


def open_held_out(data: str, config: TrainConfig) -> Shards | None:
    """Open the shards to validate on; None when nobody asked for that.

    Raises: RecipeError when they hold nothing.
    """
    if config.watch.validate_every_steps is None:
        return None
    held_out = open_shards(data, VALIDATION, config.data.on_missing)
    if not any(len(corpus) for corpus in held_out.corpora.values()):
        raise RecipeError(f"watch.validate_every_steps is set, but {data} holds no validation split; set it to null")
    return held_out


def make_model(config: TrainConfig, vocab_size: int, pretrained: bool) -> Kosmos:
    """Make the model in the machine's memory. Raises: RecipeError when it does not fit; what the eye raises."""
    try:
        return Kosmos(config, vocab_size, pretrained)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        raise RecipeError(
            f"a model of {config.model.layers} layers of width {config.model.width} does not fit into the memory of "
            "this machine; choose smaller sizes (model.layers, model.width, model.ffn_width)"
        ) from error


def make_optimizer(model: Kosmos, config: TrainConfig) -> AdamW:
    """Make AdamW over what learns; every step sets the rate itself."""
    o = config.optimizer
    learning = [p for p in model.parameters() if p.requires_grad]
    return AdamW(learning, o.learning_rate, o.betas, o.eps, o.weight_decay)


def announce(config: TrainConfig, shards: Shards, loader: Loader, num_parameters: int, first: int) -> None:
    """Say on standard output what is trained, on what, and from where."""
    tokens = config.data.tokens_per_step
    if tokens is None:
        step = f"{', '.join(f'{n:g} {corpus}' for corpus, n in loader.wanted.items())} sequences a step"
    else:
        step = f"{tokens:,} tokens a step ({', '.join(f'{share:.0%} {c}' for c, share in loader.shares.items())})"
    print(message(f"{config.name}: {num_parameters:,} parameters, {step}"))
    for corpus in loader.left_out:
        print(f"there is no sample of {corpus}: it is left out" + ", and the others share its tokens" * bool(tokens))
    for lost in shards.lost:
        print(message(f"{lost.tar}: {lost.reason}; {lost.num_samples:,} samples are left out"))
    if first:
        print(f"going on after step {first}")
