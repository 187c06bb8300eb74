"""Several processes: they compute what one does, take up each other's checkpoints, and start again when one dies."""

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from training import assert_like_run, finished, launch, train, weights, when_written

from trainer import metrics
from trainer.cli import main
from trainer.config import TrainConfig

Config = Callable[..., TrainConfig]
# The keys' biases hardly matter to attention, so that their gradients are of the size of rounding. Adam divides them by
# their own size: with the shipped 1e-6 one tensor of 85, the first block's, differs by 1.4e-6 after four steps.
CALM = "optimizer.eps=1e-5"


@pytest.fixture(scope="module")
def whole(data: Path, tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten steps by one process."""
    output = tmp_path_factory.mktemp("whole")
    train(tiny(CALM), data, output)
    return output


def test_two_processes_equal_one(data: Path, tiny: Config, tmp_path: Path) -> None:
    config = tiny("steps=4", CALM)
    one, two = tmp_path / "one", tmp_path / "two"
    with launch(config, data, two, "--nproc-per-node=2") as process:
        train(config, data, one)
        assert finished(process) == 0
    assert_like_run(one, two)
    exported = weights(two)
    shutil.rmtree(two / "model")  # to be exported again, by one process from the checkpoint of two
    assert train(config, data, two).resumed_at == 4
    assert all(torch.equal(tensor, exported[name]) for name, tensor in weights(two).items())


def test_a_process_without_an_image_does_not_hang(data: Path, tiny: Config, tmp_path: Path) -> None:
    """A step has one row, so the second of two processes never has one."""
    config = tiny("steps=3", CALM, "data.tokens_per_step=40", "data.mixture={text: 0, caption: 1, interleaved: 0}")
    one, two = tmp_path / "one", tmp_path / "two"
    with launch(config, data, two, "--nproc-per-node=2") as process:
        train(config, data, one)
        assert finished(process) == 0
    assert all(m.num_images for m in metrics.read(two))
    assert_like_run(one, two)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        ["compute.replicas=2"],  # HSDP
        ["compute.activation_checkpointing=blocks", "model.dropout=0.1", "checkpoint.asynchronous=false"],
    ],
)
def test_two_processes_shared_out_otherwise(data: Path, tiny: Config, changes: list[str], tmp_path: Path) -> None:
    config = tiny("steps=4", CALM, *changes)
    alike = tiny("steps=4", CALM, *(c for c in changes if not c.startswith("compute.")))
    one, two = tmp_path / "one", tmp_path / "two"
    num = 2 if config.compute.replicas == 2 else 1  # chance is another on another number of processes
    with launch(config, data, two, f"--nproc-per-node={num}") as process:
        train(alike, data, one)
        assert finished(process) == 0
    assert_like_run(one, two)


@pytest.mark.slow
def test_a_run_goes_from_two_processes_to_one_and_back(data: Path, tiny: Config, whole: Path, tmp_path: Path) -> None:
    config, output = tiny(CALM), tmp_path / "run"
    process = launch(config, data, output, "--nproc-per-node=2")
    when_written(output, 3, process.terminate).join()
    finished(process)
    watcher = when_written(output, 6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    middle = train(config, data, output)
    watcher.join()
    assert 3 <= middle.resumed_at < middle.num_steps < 10
    with launch(config, data, output, "--nproc-per-node=2") as process:
        assert finished(process) == 0
    assert_like_run(whole, output, within=1e-5)


@pytest.mark.slow
def test_torchrun_starts_all_again_when_one_is_killed(data: Path, tiny: Config, whole: Path, tmp_path: Path) -> None:
    config, output = tiny(CALM, "checkpoint.every_steps=3"), tmp_path / "run"
    torchrun = launch(config, data, output, "--nproc-per-node=2", "--max-restarts=1")
    when_written(output, 5, lambda: os.kill(workers(torchrun.pid)[-1], signal.SIGKILL)).join()
    assert finished(torchrun) == 0
    assert_like_run(whole, output, within=1e-5)


def test_nodes_that_would_hang_after_a_restart_are_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"GROUP_WORLD_SIZE": "2", "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_MAX_RESTARTS": "3"}
    for name, value in {"RANK": "0", **told}.items():
        monkeypatch.setenv(name, value)
    assert main(["train", f"--data={data}", f"--output={tmp_path}"]) == 2
    assert "need TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in capsys.readouterr().err


def workers(torchrun: int) -> list[int]:
    """Return the processes that a torchrun started."""
    return [int(pid) for pid in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()]


@pytest.mark.slow
def test_compiled_blocks_learn_alike(data: Path, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By tracing alone: what makes machine code of it differs from machine to machine."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    for name in ("true", "false"):
        train(tiny("steps=3", CALM, f"compute.compile={name}"), data, tmp_path / name)
    assert_like_run(tmp_path / "true", tmp_path / "false", within=1e-4)
