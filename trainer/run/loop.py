"""A whole run: from shards, a tokenizer and a configuration to checkpoints, metrics and weights."""

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from torch.optim import AdamW

from schemas.errors import DivergedError, RecipeError
from schemas.shards import TRAIN
from schemas.signals import noting
from trainer import tokenizer as tokenizers
from trainer.config import TrainConfig
from trainer.data.loader import Loader, check_state, present_shares
from trainer.data.shards import Shards, open_shards, with_instructions
from trainer.data.validation import validation
from trainer.model.kosmos import Kosmos
from trainer.program import ReportedError
from trainer.run import checkpoint
from trainer.run.export import export
from trainer.run.processes import Processes, join
from trainer.run.saving import Saver
from trainer.run.sharding import check_replicas, shard
from trainer.run.start import MODEL, announce, make_model, make_optimizer, open_held_out, prepare
from trainer.run.step import take_step
from trainer.saved import Found, look
from trainer.tokenizer import Tokenizer
from trainer.watch import lines
from trainer.watch.device import peak_flops
from trainer.watch.flops import Flops
from trainer.watch.metrics import StepMetrics
from trainer.watch.monitor import Monitor
from trainer.watch.validation import validation_loss


@dataclass(frozen=True)
class Summary:
    """What a run came to."""

    output: str
    num_steps: int
    """Steps done, those before a resume included."""
    resumed_at: int
    """Steps that were done already when the run started."""
    interrupted_by: int
    """The number of the signal that ended the run, which is saved and which the same call goes on with; 0: none."""
    first_loss: dict[str, float]
    """Mean loss of each corpus over the first tenth of the steps."""
    last_loss: dict[str, float]
    """Mean loss of each corpus over the last tenth of the steps."""
    num_skipped: int
    """Samples and images that could not be read, each as often as its turn came."""


@dataclass(frozen=True)
class Inputs:
    """What a run reads, opened and checked."""

    config: TrainConfig
    start: Found | None
    """The weights to start from."""
    tokenizer: Tokenizer
    shards: Shards
    held_out: Shards | None


def run(config: TrainConfig, data: str, tokenizer: str, output: str, overwrite: bool = False) -> Summary:
    """Train on the shards in `data` and leave checkpoints, metrics and weights in the local folder `output`.

    Goes on from the newest checkpoint that `output` holds, on any number of processes; a run that is complete is not
    repeated. `data` and `tokenizer` are local paths or fsspec URLs. A run that starts from weights (`config.start`)
    reads them once: what it has learnt since is in its own checkpoints.

    Raises: PathError when the shards, the tokenizer or the weights are missing or `output` cannot be written;
        IntegrityError when weights, tokenizer and configuration do not belong together; RecipeError when
        `output` was made with another configuration, other shards or another tokenizer and `overwrite` is not given;
        DivergedError when more than `optimizer.max_bad_steps` steps in a row are not finite. Of several processes the
        first raises these, the others ReportedError.
    """
    with join() as processes:
        return train(processes, config, data, tokenizer, output, overwrite)


def open_inputs(config: TrainConfig, data: str, tokenizer: str, output: str, overwrite: bool, world: int) -> Inputs:
    """Open what `world` processes would read, and check all that can be known before they start. Raises: as `run`."""
    folder = Path(output)
    check_replicas(config, world)
    start = None if config.start is None else look(config.start)
    if start is not None:
        start.check_sizes(config)
        if folder.resolve() in start.folder.resolve().parents:
            raise RecipeError(f"{folder} holds the weights to start from; choose another --output")
    words = tokenizers.load(tokenizer) if start is None else start.tokens(tokenizer)
    shards = with_instructions(open_shards(data, TRAIN, config.data.on_missing), config.data.instructions)
    held_out = open_held_out(data, config)
    present_shares(shards, config.data)
    step = -1 if overwrite else checkpoint.newest_step(folder)
    if step < 0 and start is not None:  # a run that goes on does not read these weights again
        start.check_num_parameters()
    if step >= 0:
        saved = checkpoint.read_state(checkpoint.folder_of(folder, step))
        checkpoint.check_config(folder, saved, config)
        check_state(saved.loader, shards, words)
    return Inputs(config, start, words, shards, held_out)


def train(
    processes: Processes, config: TrainConfig, data: str, tokenizer: str, output: str, overwrite: bool = False
) -> Summary:
    """Do what `run` does in processes that have been joined."""
    folder = Path(output)
    if config.cpu_threads is not None:
        torch.set_num_threads(config.cpu_threads)
    inputs = processes.together(lambda: open_inputs(config, data, tokenizer, output, overwrite, processes.world))
    start, words, shards, held_out = inputs.start, inputs.tokenizer, inputs.shards, inputs.held_out
    with noting() as received, ExitStack() as stack:
        shown = processes.rank == 0
        processes.together(lambda: prepare(folder, overwrite) if shown else None)
        saved = checkpoint.newest(folder, processes)
        torch.manual_seed(config.seed)
        model = processes.together(lambda: make_model(config, words.vocab_size, pretrained=start is None))
        if start is not None and saved is None:
            processes.together(lambda: start.fill(model))
        model = model.to(processes.device)
        num_parameters, flops = sum(p.numel() for p in model.parameters()), Flops.of(model, config)
        peak = config.watch.peak_flops or peak_flops(processes.device)
        reading = (words, config, model.vision.preprocess, processes.rank, processes.world)
        loader = stack.enter_context(processes.together(lambda: Loader(shards, *reading)))
        shard(model, processes, config)
        optimizer = make_optimizer(model, config)
        if saved is not None:
            processes.together(lambda: loader.load_state(saved.loader))
            checkpoint.check_sums(checkpoint.folder_of(folder, saved.step), processes)
            checkpoint.load(checkpoint.folder_of(folder, saved.step), model, optimizer, processes)
        done = first = kept = saved.step if saved is not None else 0
        num_bad = saved.num_bad_steps if saved is not None else 0
        if shown:
            announce(config, shards, loader, num_parameters, first)
        monitor = stack.enter_context(processes.together(lambda: Monitor(folder, first, config, shown)))
        with Saver(folder, config.checkpoint, processes) as saver:
            save_seconds, ended_by = 0.0, 0
            while done < config.steps and not (ended_by := int(processes.largest(received.number)[0])):
                step = take_step(done, loader, model, optimizer, config, processes)
                mfu = flops.utilisation(step, peak * processes.world) if peak is not None else None
                monitor.add(replace(step, mfu=mfu, save_seconds=save_seconds))
                done, save_seconds, num_bad = done + 1, 0.0, 0 if step.applied else num_bad + 1
                if not step.applied:
                    _tell_bad(step, num_bad, config.optimizer.max_bad_steps, processes)
                if held_out is not None and done % (config.watch.validate_every_steps or 1) == 0:
                    batches = validation(held_out, *reading)
                    monitor.add_validation(done, validation_loss(model, batches, processes))
                if done == config.steps or done % config.checkpoint.every_steps == 0:
                    save_seconds = _save(saver, done, num_bad, config, loader, model, optimizer)
                    kept = done
            if kept < done:  # a signal
                _save(saver, done, num_bad, config, loader, model, optimizer)
        if done == config.steps and (done > first or not (folder / MODEL).exists()):
            processes.together(lambda: export(folder / MODEL, model, config, tokenizer, processes))
    steps = lines.read(folder)
    tenth = max(1, len(steps) // 10)
    first_loss, last_loss = _mean_loss(steps[:tenth]), _mean_loss(steps[-tenth:])
    num_skipped = sum(step.num_skipped for step in steps)
    return Summary(output, done, first, ended_by, first_loss, last_loss, num_skipped)


def _save(
    saver: Saver, done: int, num_bad: int, config: TrainConfig, loader: Loader, model: Kosmos, optimizer: AdamW
) -> float:
    """Save, and return for how long that held training up [seconds]."""
    started = time.perf_counter()
    saver.save(checkpoint.State(done, num_bad, config.model_dump(mode="json"), loader.state()), model, optimizer)
    return time.perf_counter() - started


def _tell_bad(step: StepMetrics, num_bad: int, most: int, processes: Processes) -> None:
    """Say which step was skipped, and why.

    Raises: DivergedError when more than `most` in a row were.
    """
    bad = [corpus for corpus in step.num_tokens if corpus not in step.loss]
    what = f"the loss of {', '.join(bad)}" if bad else "the gradient"
    said = f"step {step.step} (batch {step.batch[:16]}): {what} is not finite"
    if num_bad > most:
        diverged = DivergedError(
            f"{said}, nor was it in the {num_bad - 1} steps before; start anew with a lower optimizer.learning_rate, "
            "or raise optimizer.max_bad_steps to go on from the newest checkpoint"
        )
        raise diverged if processes.rank == 0 else ReportedError(str(diverged))
    if processes.rank == 0:
        print(f"skipped: {said}", file=sys.stderr)


def _mean_loss(steps: list[StepMetrics]) -> dict[str, float]:
    corpora = dict.fromkeys(corpus for step in steps for corpus in step.loss)
    return {c: fmean(s.loss[c] for s in steps if c in s.loss) for c in corpora}
