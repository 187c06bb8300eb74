"""Train: from shards and a tokenizer to a decoder that sees. `python -m trainer.train --help`, alone or by torchrun."""

import argparse
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from threading import Event

import torch
import torch.distributed as dist
from torch.optim import AdamW

from schemas.errors import PathError, WeftError
from trainer import checkpoint, metrics
from trainer import config as configuration
from trainer import tokenizer as tokenizers
from trainer.config import TrainConfig
from trainer.data.batches import Loader
from trainer.data.shards import beside, open_shards
from trainer.distributed import join, shard
from trainer.export import export
from trainer.model.kosmos import Kosmos
from trainer.step import take_step

TERMINATED = 128 + signal.SIGTERM  # exit status of a run that SIGTERM ended, once it is saved
MODEL = "model"  # folder of the exported weights


@dataclass(frozen=True)
class Summary:
    """What a run came to."""

    output: str
    num_steps: int
    """Steps done, those before a resume included."""
    resumed_at: int
    """Steps that were done already when the run started."""
    terminated: bool
    """True when SIGTERM ended the run: it is saved, and the same call goes on with it."""
    first_loss: dict[str, float]
    """Mean loss of each corpus over the first tenth of the steps."""
    last_loss: dict[str, float]
    """Mean loss of each corpus over the last tenth of the steps."""
    num_skipped: int
    """Samples and images that could not be read."""


def run(config: TrainConfig, data: str, tokenizer: str, output: str, overwrite: bool = False) -> Summary:
    """Train on the shards in `data` and leave checkpoints, metrics and weights in the local folder `output`.

    Goes on from the newest checkpoint that `output` holds, on any number of processes; a run that is complete is not
    repeated. `data` and `tokenizer` are local paths or fsspec URLs.

    Raises: PathError when the shards or the tokenizer are missing or `output` cannot be written; RecipeError when
        `output` was made with another configuration, other shards or another tokenizer and `overwrite` is not given.
    """
    folder = Path(output)
    shards, words = open_shards(data), tokenizers.load(tokenizer)
    with join(config.cpu_threads) as processes, _termination() as terminated:
        shown = processes.rank == 0
        if shown:
            _prepare(folder, overwrite)
        dist.barrier()
        saved = checkpoint.newest(folder)
        if saved is not None:
            checkpoint.check_config(saved, config)
        torch.manual_seed(config.seed)
        model = Kosmos(config, words.vocab_size).to(processes.device)
        num_parameters = sum(p.numel() for p in model.parameters())
        loader = Loader(shards, words, config, model.vision.preprocess, processes.rank, processes.world)
        shard(model, processes, config.precision)
        optimizer = _optimizer(model, config)
        if saved is not None:
            loader.load_state(saved.loader)
            checkpoint.load(saved, model, optimizer)
        done = first = saved.step if saved is not None else 0
        if shown:
            _announce(config, loader, num_parameters, first)
        with metrics.Monitor(folder, first, config.steps, shown) as monitor:
            while done < config.steps and not processes.sum(terminated.is_set())[0]:
                monitor.add(take_step(done, loader, model, optimizer, config, processes))
                done += 1
                if done == config.steps or done % config.checkpoint.every_steps == 0:
                    checkpoint.save(folder, done, model, optimizer, config, loader.state(), processes)
        if done == config.steps and (done > first or not (folder / MODEL).exists()):
            export(folder / MODEL, model, config, tokenizer, processes)
        if first < done < config.steps and done % config.checkpoint.every_steps:
            checkpoint.save(folder, done, model, optimizer, config, loader.state(), processes)
        (num_skipped,) = processes.sum(len(loader.skipped.reasons))
    steps = metrics.read(folder)
    tenth = max(1, len(steps) // 10)
    first_loss, last_loss = _mean_loss(steps[:tenth]), _mean_loss(steps[-tenth:])
    return Summary(output, done, first, done < config.steps, first_loss, last_loss, int(num_skipped))


def _prepare(folder: Path, overwrite: bool) -> None:
    """Make the output folder, emptied of an earlier run's files when it is to be overwritten."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob(".step-*"):  # what a killed run was writing
            shutil.rmtree(partial)
        if overwrite:
            for old in (*folder.glob("step-*"), *folder.glob(MODEL)):
                shutil.rmtree(old)
            (folder / metrics.FILE).unlink(missing_ok=True)
    except OSError as error:
        raise PathError(f"cannot write to {folder}: {error.strerror}; choose another --output") from error


def _optimizer(model: Kosmos, config: TrainConfig) -> AdamW:
    """Make AdamW over what learns; every step sets the rate itself."""
    o = config.optimizer
    learning = [p for p in model.parameters() if p.requires_grad]
    return AdamW(learning, o.learning_rate, o.betas, o.eps, o.weight_decay)


@contextmanager
def _termination() -> Iterator[Event]:
    """Turn SIGTERM into a flag, so that a run ends between two steps, saved."""
    terminated = Event()
    before = signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, before)


def _announce(config: TrainConfig, loader: Loader, num_parameters: int, first: int) -> None:
    shares = ", ".join(f"{share:.0%} {corpus}" for corpus, share in loader.shares.items())
    print(f"{config.name}: {num_parameters:,} parameters, {config.data.tokens_per_step:,} tokens a step ({shares})")
    for corpus in loader.left_out:
        print(f"the shards hold no sample of {corpus}: it is left out, and the others share its tokens")
    if first:
        print(f"going on after step {first}")


def _mean_loss(steps: list[metrics.StepMetrics]) -> dict[str, float]:
    corpora = dict.fromkeys(corpus for step in steps for corpus in step.loss)
    return {c: fmean(s.loss[c] for s in steps if c in s.loss) for c in corpora}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status: 0, 2 after a user's error, 143 after SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.train",
        description="Train a decoder that reads text and sees images on Weft's shards.",
        epilog="several processes: torchrun --standalone --nproc-per-node 8 -m trainer.train --config ... --data ...",
    )
    names = ", ".join(configuration.shipped())
    parser.add_argument("--config", default="debug", help=f"one of {names}, or the path of a YAML file (%(default)s)")
    parser.add_argument("--data", required=True, help="what `weft run` wrote, or its shards folder; a path or a URL")
    parser.add_argument("--tokenizer", help="what `weft tokenizer` wrote (DATA/tokenizer)")
    parser.add_argument("--output", help="folder for checkpoints, metrics and weights (DATA/checkpoints)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key, as steps=200")
    parser.add_argument("--overwrite", action="store_true", help="start anew where the output holds another run")
    given = parser.parse_args(arguments)
    try:
        summary = run(
            configuration.load(given.config, given.set),
            given.data,
            given.tokenizer or beside(given.data, "tokenizer"),
            given.output or beside(given.data, "checkpoints"),
            given.overwrite,
        )
    except WeftError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report(summary)
    return TERMINATED if summary.terminated else 0


def report(summary: Summary) -> None:
    """Print what a run came to."""
    for corpus in sorted(summary.first_loss.keys() & summary.last_loss.keys()):
        print(f"{corpus:12} loss {summary.first_loss[corpus]:.3f} -> {summary.last_loss[corpus]:.3f}")
    if summary.num_skipped:
        print(f"{summary.num_skipped} samples or images could not be read")
    if summary.terminated:
        print(f"ended by SIGTERM after step {summary.num_steps}; the same command goes on from there")
    else:
        print(f"{summary.num_steps} steps; weights in {summary.output}/{MODEL}, checkpoints in {summary.output}")


if __name__ == "__main__":
    sys.exit(main())
