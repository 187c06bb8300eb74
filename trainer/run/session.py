"""A training run as a person asks for it: a configuration by name, places or their defaults, and what it came to."""

import signal
from collections.abc import Sequence

from schemas.display import message
from schemas.signals import resuming
from trainer import config as configuration
from trainer.config import TrainConfig
from trainer.data.shards import beside
from trainer.run.launch import launch
from trainer.run.loop import Summary, open_inputs, train
from trainer.run.processes import join
from trainer.run.start import MODEL
from trainer.saved import look, sizes

CHECKPOINTS = "checkpoints"  # beside the shards


def start(
    config: str, assignments: Sequence[str], weights: str | None, data: str, tokenizer: str | None = None,
    output: str | None = None, overwrite: bool = False,
) -> None:  # fmt: skip
    """Run what a person asks for, and print what it came to: a configuration by name, the weights to start from, and
    places, or their defaults.

    A signal is raised again once the run is saved. Raises: as `run` and `trainer.config.load`.
    """
    with resuming(overwrite), join() as processes:
        settings, words, folder = processes.together(
            lambda: settle(config, assignments, weights, data, tokenizer, output)
        )
        summary = train(processes, settings, data, words, folder, overwrite)
        if processes.rank == 0:
            _report(summary)
        if summary.interrupted_by:
            signal.raise_signal(summary.interrupted_by)


def start_processes(
    num_processes: int, config: str, assignments: Sequence[str], weights: str | None, data: str,
    tokenizer: str | None = None, output: str | None = None, overwrite: bool = False,
) -> int:  # fmt: skip
    """Do what `start` does in several processes of this machine; return the exit status.

    What a person may have got wrong is found before any of them starts. Raises: as `start`.
    """
    settings, words, folder = settle(config, assignments, weights, data, tokenizer, output)
    open_inputs(settings, data, words, folder, overwrite, num_processes)
    options = {"--config": config, "--data": data, "--from": weights, "--tokenizer": tokenizer, "--output": output}
    arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
    arguments += [f"--set={assignment}" for assignment in assignments] + ["--overwrite"] * overwrite
    with resuming(overwrite):
        return launch("trainer.train", arguments, num_processes)


def settle(
    config: str, assignments: Sequence[str], weights: str | None, data: str, tokenizer: str | None, output: str | None
) -> tuple[TrainConfig, str, str]:
    """Return the configuration, and the folders of the tokenizer and of the output. Raises: as `start`."""
    settings = configured(config, assignments, weights)
    words = tokenizer or (beside(data, "tokenizer") if weights is None else look(weights).tokenizer)
    return settings, words, output or beside(data, _folder(settings))


def configured(config: str, assignments: Sequence[str], weights: str | None) -> TrainConfig:
    """Load a configuration by name; where it starts from weights, with their sizes. Raises: as `start`."""
    return configuration.load(config, [*assignments], None if weights is None else sizes(weights))


def _folder(config: TrainConfig) -> str:
    """Name the default folder: a run that starts from another's weights must not lie in its place."""
    return CHECKPOINTS if config.start is None else f"{CHECKPOINTS}-{config.name}"


def _report(summary: Summary) -> None:
    """Print what a run came to."""
    for corpus in sorted(summary.first_loss.keys() & summary.last_loss.keys()):
        print(f"{corpus:12} loss {summary.first_loss[corpus]:.3f} -> {summary.last_loss[corpus]:.3f}")
    if summary.num_skipped:
        print(f"{summary.num_skipped} samples or images could not be read")
    if summary.interrupted_by:
        print(f"ended after step {summary.num_steps}, which is saved")
    else:
        steps, folder = summary.num_steps, message(summary.output)
        print(f"{steps} steps; weights in {folder}/{MODEL}, checkpoints in {folder}")
