"""A training run: from shards, a tokenizer and a configuration to checkpoints, metrics and weights."""

import math
import shutil
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.optim import AdamW

from schemas.display import message
from schemas.errors import DivergedError, PathError, RecipeError
from schemas.program import Received, noting, resuming
from schemas.shards import TRAIN, VALIDATION
from schemas.tables import digest
from trainer import checkpoint, metrics
from trainer import config as configuration
from trainer import tokenizer as tokenizers
from trainer.checkpoint import Saver, export
from trainer.config import Optimizer, TrainConfig
from trainer.data.batches import MicroBatch, validation
from trainer.data.loader import Loader, check_state, present_shares
from trainer.data.shards import Shards, default_folder, open_shards, with_instructions
from trainer.distributed import Processes, check_replicas, init, launch, reduce_over_replicas, shard
from trainer.load import WeightsFolder, open_saved, sizes
from trainer.metrics import Flops, Monitor, StepMetrics, peak_flops, peak_gpu_bytes, peak_rss_bytes
from trainer.model.kosmos import Kosmos
from trainer.program import ReportedError
from trainer.tokenizer import Tokenizer


@torch.no_grad()
def validation_loss(model: Kosmos, batches: Iterator[MicroBatch], processes: Processes) -> dict[str, float]:
    """Return the mean loss over the targets of each corpus, over all processes.

    All processes must pass the same number of batches, from the same corpora in the same order.

    Raises: in all processes, what a batch of one of them raises.
    """
    sums: dict[str, float] = defaultdict(float)
    num_targets: dict[str, int] = defaultdict(int)
    model.eval()
    while (batch := processes.together(lambda: next(batches, None))) is not None:
        b = batch.to(processes.device)
        sums[b.corpus] += float(model(b.tokens_BT, b.image_mask_BT, b.segment_ids_BT, b.pixels_ICHW, b.targets_BT))
        num_targets[b.corpus] += batch.num_targets
    model.train()
    if isinstance(model, FSDPModule):
        model.reshard()  # in training the backward pass does it; optimizer and checkpoints need shards
    totals = processes.sum(*sums.values(), *num_targets.values())
    return {c: s / n for c, s, n in zip(sums, totals[: len(sums)], totals[len(sums) :], strict=True) if n}


MODEL = "model"  # folder of the exported weights


def prepare(folder: Path, overwrite: bool) -> None:
    """Make the output folder; with `overwrite`, remove an earlier run's files from it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob(".step-*"):  # unfinished checkpoints of a killed run
            shutil.rmtree(partial)
        if overwrite:
            for old in (*folder.glob("step-*"), *folder.glob(MODEL), *folder.glob(metrics.FOLDER)):
                shutil.rmtree(old)
            for name in (metrics.FILE, metrics.VALIDATION_FILE):
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise PathError(f"cannot write to {folder}: {error.strerror}; choose another --output") from error


def open_held_out(data: str, config: TrainConfig) -> Shards | None:
    """Open the validation shards; None when the configuration has no validation.

    Raises: RecipeError when they are empty.
    """
    if config.watch.validate_every_steps is None:
        return None
    held_out = open_shards(data, VALIDATION, config.data.on_missing)
    if not any(len(corpus) for corpus in held_out.corpora.values()):
        raise RecipeError(f"watch.validate_every_steps is set, but {data} holds no validation split; set it to null")
    return held_out


def make_model(config: TrainConfig, vocab_size: int, pretrained: bool) -> Kosmos:
    """Make the model in CPU memory. Raises: RecipeError when it does not fit; as the vision encoder."""
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
    """Make AdamW over the trainable parameters; every step sets the learning rate."""
    o = config.optimizer
    trainable = [p for p in model.parameters() if p.requires_grad]
    return AdamW(trainable, o.learning_rate, o.betas, o.eps, o.weight_decay)


def announce(config: TrainConfig, shards: Shards, loader: Loader, num_parameters: int, first: int) -> None:
    """Print the model, the data and the first step of a run."""
    tokens = config.data.tokens_per_step
    if tokens is None:
        step = f"{', '.join(f'{n:g} {corpus}' for corpus, n in loader.quotas.items())} sequences a step"
    else:
        step = f"{tokens:,} tokens a step ({', '.join(f'{share:.0%} {c}' for c, share in loader.shares.items())})"
    print(message(f"{config.name}: {num_parameters:,} parameters, {step}"))
    for corpus in loader.left_out:
        print(f"no samples of {corpus}: it is left out" + ", and the others share its tokens" * bool(tokens))
    for lost in shards.lost:
        print(message(f"{lost.tar}: {lost.reason}; {lost.num_samples:,} samples are left out"))
    if first:
        print(f"continuing after step {first}")


def take_step(
    number: int,
    loader: Loader,
    model: Kosmos,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    processes: Processes,
) -> StepMetrics:
    """Take step `number`, counted from 0, on the next step of the loader.

    The loss is the sum over all processes and micro-steps, divided by the number of all their targets. If it or the
    gradient is not finite, the weights and the optimizer do not change.
    """
    started = time.perf_counter()
    torch.manual_seed(int(digest(str(config.seed), str(number), str(processes.rank)), 16) % 2**63)  # dropout
    step = processes.together(partial(next, loader))
    waited = time.perf_counter() - started
    corpora = list(step.num_tokens)
    num_targets = processes.sum(*(sum(b.num_targets for b in step.micro_batches if b.corpus == c) for c in corpora))
    losses = {c: torch.zeros((), dtype=torch.float64, device=processes.device) for c in corpora}
    for i, batch in enumerate(step.micro_batches, start=1):
        reduce_over_replicas(model, now=i == len(step.micro_batches))
        b = batch.to(processes.device)
        loss = model(b.tokens_BT, b.image_mask_BT, b.segment_ids_BT, b.pixels_ICHW, b.targets_BT)
        (loss / max(1, sum(num_targets))).backward()
        losses[batch.corpus] += loss.detach()  # .item() here would synchronise with the device
    gradient_norm = _clip_gradients(model, config.optimizer.clip_norm)
    *sums, num_skipped = processes.sum(*(float(loss) for loss in losses.values()), len(step.skipped))
    is_finite = math.isfinite(gradient_norm) and all(map(math.isfinite, sums))
    rate = learning_rate(config.optimizer, number, config.steps)
    if is_finite:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    optimizer.zero_grad()
    seconds = time.perf_counter() - started
    slowest, gpu_bytes, rss_bytes = processes.largest(waited, peak_gpu_bytes(processes.device), peak_rss_bytes())
    return StepMetrics(
        step=number + 1,
        loss={c: s / n for c, s, n in zip(corpora, sums, num_targets, strict=True) if n and math.isfinite(s)},
        num_tokens=step.num_tokens,
        num_images=step.num_images,
        num_skipped=int(num_skipped),
        learning_rate=rate,
        gradient_norm=gradient_norm if math.isfinite(gradient_norm) else None,
        applied=is_finite,
        seconds=seconds,
        wait_seconds=slowest,
        peak_gpu_bytes=int(gpu_bytes),
        peak_rss_bytes=int(rss_bytes),
        batch=step.digest,
    )


def _clip_gradients(model: Kosmos, max_norm: float) -> float:
    """Clip the gradients to a norm; return their norm before clipping, over all processes."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def learning_rate(config: Optimizer, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0: linear warm-up, then linear decay to 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    return config.learning_rate * (steps - step) / max(1, steps - config.warmup_steps)


@dataclass(frozen=True)
class Summary:
    """The result of a run."""

    output: str
    num_steps: int
    """Completed steps, including those before a resume."""
    resumed_at: int
    """Completed steps before this call."""
    interrupted_by: int
    """The number of the signal that ended the run; 0: none. The same call continues the run."""
    first_loss: dict[str, float]
    """Mean loss of each corpus over the first tenth of the steps."""
    last_loss: dict[str, float]
    """Mean loss of each corpus over the last tenth of the steps."""
    num_skipped: int
    """Samples and images that could not be read, counted at every attempt."""


@dataclass(frozen=True)
class Inputs:
    """The inputs of a run, opened and checked."""

    config: TrainConfig
    start: WeightsFolder | None
    """The weights to start from."""
    tokenizer: Tokenizer
    shards: Shards
    held_out: Shards | None


def run(config: TrainConfig, data: str, tokenizer: str, output: str, overwrite: bool = False) -> Summary:
    """Train on the shards in `data`; write checkpoints, metrics and weights to the local folder `output`.

    Continues from the newest checkpoint in `output`, on any number of processes; a complete run is not repeated.
    `data` and `tokenizer` are local paths or fsspec URLs. A run that starts from weights (`config.start`) reads them
    once; a resumed run reads its own checkpoints only.

    Raises: PathError when the shards, the tokenizer or the weights are missing or `output` cannot be written;
        IntegrityError when weights, tokenizer and configuration do not match; RecipeError when
        `output` was made with another configuration, other shards or another tokenizer and `overwrite` is false;
        DivergedError when more than `optimizer.max_bad_steps` steps in a row are not finite. The first process raises
        these, the others raise ReportedError.
    """
    with init() as processes:
        return train(processes, config, data, tokenizer, output, overwrite)


def open_inputs(config: TrainConfig, data: str, tokenizer: str, output: str, overwrite: bool, world: int) -> Inputs:
    """Open the inputs of `world` processes; check all that can be checked before they start. Raises: as `run`."""
    folder = Path(output)
    check_replicas(config, world)
    start = None if config.start is None else open_saved(config.start)
    if start is not None:
        start.check_sizes(config)
        if folder.resolve() in start.path.resolve().parents:
            raise RecipeError(f"{folder} holds the weights to start from; choose another --output")
    opened = tokenizers.load(tokenizer) if start is None else start.load_tokenizer(tokenizer)
    shards = with_instructions(open_shards(data, TRAIN, config.data.on_missing), config.data.instructions)
    held_out = open_held_out(data, config)
    present_shares(shards, config.data)
    step = -1 if overwrite else checkpoint.newest_step(folder)
    if step < 0 and start is not None:  # a run that is resumed does not read these weights again
        start.check_num_parameters()
    if step >= 0:
        saved = checkpoint.read_state(checkpoint.folder_of(folder, step))
        checkpoint.check_config(folder, saved, config)
        check_state(saved.loader, shards, opened)
    return Inputs(config, start, opened, shards, held_out)


def train(
    processes: Processes, config: TrainConfig, data: str, tokenizer: str, output: str, overwrite: bool = False
) -> Summary:
    """Do what `run` does in processes that have joined a process group."""
    folder, is_first = Path(output), processes.rank == 0
    if config.cpu_threads is not None:
        torch.set_num_threads(config.cpu_threads)
    inputs = processes.together(lambda: open_inputs(config, data, tokenizer, output, overwrite, processes.world))
    with noting() as received, ExitStack() as stack:
        processes.together(lambda: prepare(folder, overwrite) if is_first else None)
        saved = checkpoint.newest(folder, processes)
        model = _initial_model(inputs, saved is not None, processes)
        num_parameters, flops = sum(p.numel() for p in model.parameters()), Flops.of(model, config)
        reading = (inputs.tokenizer, config, model.vision.preprocess, processes.rank, processes.world)
        loader = stack.enter_context(processes.together(lambda: Loader(inputs.shards, *reading)))
        shard(model, processes, config)
        training = _Training(config, processes, model, make_optimizer(model, config), loader)
        if saved is not None:
            training.restore(folder, saved)
        first = training.num_steps
        if is_first:
            announce(config, inputs.shards, loader, num_parameters, first)
        monitor = stack.enter_context(processes.together(lambda: Monitor(folder, first, config, is_first)))
        validate = None if inputs.held_out is None else partial(validation, inputs.held_out, *reading)
        with Saver(folder, config.checkpoint, processes) as saver:
            interrupted_by = _take_steps(training, flops, validate, monitor, saver, received)
        if training.num_steps == config.steps and (config.steps > first or not (folder / MODEL).exists()):
            processes.together(lambda: export(folder / MODEL, model, config, tokenizer, processes))
    steps = metrics.read(folder)
    tenth = max(1, len(steps) // 10)
    first_loss, last_loss = _mean_loss(steps[:tenth]), _mean_loss(steps[-tenth:])
    num_skipped = sum(step.num_skipped for step in steps)
    return Summary(output, training.num_steps, first, interrupted_by, first_loss, last_loss, num_skipped)


def _initial_model(inputs: Inputs, is_resumed: bool, processes: Processes) -> Kosmos:
    """Make the model on this process's device, with the weights to start from unless a checkpoint replaces them."""
    config, start = inputs.config, inputs.start
    torch.manual_seed(config.seed)
    model = processes.together(lambda: make_model(config, inputs.tokenizer.vocab_size, pretrained=start is None))
    if start is not None and not is_resumed:
        processes.together(lambda: start.load_weights(model))
    return model.to(processes.device)


@dataclass
class _Training:
    """The state of a run between two steps."""

    config: TrainConfig
    processes: Processes
    model: Kosmos
    optimizer: AdamW
    loader: Loader
    num_steps: int = 0
    """Completed steps, including those before a resume."""
    num_bad_steps: int = 0
    """How many of the last steps in a row were skipped because their loss or gradient was not finite."""

    def restore(self, output: Path, saved: checkpoint.State) -> None:
        """Load a checkpoint of the output folder."""
        self.num_steps, self.num_bad_steps = saved.step, saved.num_bad_steps
        folder = checkpoint.folder_of(output, saved.step)
        self.processes.together(lambda: self.loader.load_state(saved.loader))
        checkpoint.check_sums(folder, self.processes)
        checkpoint.load(folder, self.model, self.optimizer, self.processes)

    def step(self) -> StepMetrics:
        """Take one step."""
        step = take_step(self.num_steps, self.loader, self.model, self.optimizer, self.config, self.processes)
        self.num_steps, self.num_bad_steps = self.num_steps + 1, 0 if step.applied else self.num_bad_steps + 1
        return step

    def save(self, saver: Saver) -> float:
        """Save a checkpoint; return for how long that paused training [seconds]."""
        started, config = time.perf_counter(), self.config.model_dump(mode="json")
        state = checkpoint.State(self.num_steps, self.num_bad_steps, config, self.loader.state())
        saver.save(state, self.model, self.optimizer)
        return time.perf_counter() - started


def _take_steps(
    training: _Training,
    flops: Flops,
    validate: Callable[[], Iterator[MicroBatch]] | None,
    monitor: Monitor,
    saver: Saver,
    received: Received,
) -> int:
    """Train until the last step or a signal, with validations and checkpoints; return the signal's number, else 0."""
    config, processes = training.config, training.processes
    peak = config.watch.peak_flops or peak_flops(processes.device)
    saved_at, save_seconds = training.num_steps, 0.0
    while training.num_steps < config.steps:
        if interrupted_by := int(processes.largest(received.number)[0]):
            if saved_at < training.num_steps:
                training.save(saver)
            return interrupted_by
        step = training.step()
        mfu = flops.utilisation(step, peak * processes.world) if peak is not None else None
        monitor.add(replace(step, mfu=mfu, save_seconds=save_seconds))
        save_seconds = 0.0
        if not step.applied:
            _report_bad_step(step, training.num_bad_steps, config.optimizer.max_bad_steps, processes)
        if validate is not None and step.step % (config.watch.validate_every_steps or 1) == 0:
            monitor.add_validation(step.step, validation_loss(training.model, validate(), processes))
        if step.step == config.steps or step.step % config.checkpoint.every_steps == 0:
            saved_at, save_seconds = step.step, training.save(saver)
    return 0


def _report_bad_step(step: StepMetrics, num_bad: int, max_bad: int, processes: Processes) -> None:
    """Print which step was skipped, and why.

    Raises: DivergedError when more than `max_bad` in a row were skipped.
    """
    not_finite = [corpus for corpus in step.num_tokens if corpus not in step.loss]
    what = f"the loss of {', '.join(not_finite)}" if not_finite else "the gradient"
    reason = f"step {step.step} (batch {step.batch[:16]}): {what} is not finite"
    if num_bad > max_bad:
        diverged = DivergedError(
            f"{reason}, nor was it in the {num_bad - 1} steps before; start again with a lower optimizer.learning_rate "
            "or raise optimizer.max_bad_steps to continue from the newest checkpoint"
        )
        raise diverged if processes.rank == 0 else ReportedError(str(diverged))
    if processes.rank == 0:
        print(f"skipped: {reason}", file=sys.stderr)


def _mean_loss(steps: list[StepMetrics]) -> dict[str, float]:
    corpora = dict.fromkeys(corpus for step in steps for corpus in step.loss)
    return {c: fmean(s.loss[c] for s in steps if c in s.loss) for c in corpora}


CHECKPOINTS = "checkpoints"  # beside the shards


def start(
    config: str, assignments: Sequence[str], weights: str | None, data: str, tokenizer: str | None = None,
    output: str | None = None, overwrite: bool = False,
) -> None:  # fmt: skip
    """Run a command line, with a configuration by name and default folders, and print the result.

    A signal is raised again once the run is saved. Raises: as `run` and `trainer.config.load`.
    """
    with resuming(overwrite), init() as processes:
        settings, tokenizer_folder, folder = processes.together(
            lambda: resolve_arguments(config, assignments, weights, data, tokenizer, output)
        )
        summary = train(processes, settings, data, tokenizer_folder, folder, overwrite)
        if processes.rank == 0:
            _report(summary)
        if summary.interrupted_by:
            signal.raise_signal(summary.interrupted_by)


def start_processes(
    num_processes: int, config: str, assignments: Sequence[str], weights: str | None, data: str,
    tokenizer: str | None = None, output: str | None = None, overwrite: bool = False,
) -> int:  # fmt: skip
    """Do what `start` does in several processes of this machine; return the exit status.

    Arguments and inputs are checked before any of them starts. Raises: as `start`.
    """
    settings, tokenizer_folder, folder = resolve_arguments(config, assignments, weights, data, tokenizer, output)
    open_inputs(settings, data, tokenizer_folder, folder, overwrite, num_processes)
    options = {"--config": config, "--data": data, "--from": weights, "--tokenizer": tokenizer, "--output": output}
    arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
    arguments += [f"--set={assignment}" for assignment in assignments] + ["--overwrite"] * overwrite
    with resuming(overwrite):
        return launch("trainer", ["train", *arguments], num_processes)


def resolve_arguments(
    config: str, assignments: Sequence[str], weights: str | None, data: str, tokenizer: str | None, output: str | None
) -> tuple[TrainConfig, str, str]:
    """Return the configuration, the tokenizer's folder and the output folder. Raises: as `start`."""
    settings = configuration.load(config, [*assignments], None if weights is None else sizes(weights))
    default = tokenizer or (default_folder(data, "tokenizer") if weights is None else open_saved(weights).tokenizer)
    return settings, default, output or default_folder(data, _folder(settings))


def _folder(config: TrainConfig) -> str:
    """Return the default folder; a run that starts from weights of another run has its own."""
    return CHECKPOINTS if config.start is None else f"{CHECKPOINTS}-{config.name}"


def _report(summary: Summary) -> None:
    """Print the result of a run."""
    for corpus in sorted(summary.first_loss.keys() & summary.last_loss.keys()):
        print(f"{corpus:12} loss {summary.first_loss[corpus]:.3f} -> {summary.last_loss[corpus]:.3f}")
    if summary.num_skipped:
        print(f"{summary.num_skipped} samples or images could not be read")
    if summary.interrupted_by:
        print(f"stopped after step {summary.num_steps}, which is saved")
    else:
        steps, folder = summary.num_steps, message(summary.output)
        print(f"{steps} steps; weights in {folder}/{MODEL}, checkpoints in {folder}")
