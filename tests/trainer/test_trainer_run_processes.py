"""Several processes: they compute the same as one, resume each other's checkpoints, and restart when one dies."""

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from training import assert_like_run, finished, launch, train, weights, when_written

from tests.processes import children
from trainer import metrics
from trainer.cli import main
from trainer.config import TrainConfig

Config = Callable[..., TrainConfig]
# The biases of keys hardly affect attention, so their gradients are as small as rounding errors, and Adam scales them
# up: with the default eps of 1e-6, one tensor of 85, in the first block, differs by 1.4e-6 after four steps.
LARGE_EPS = "optimizer.eps=1e-5"


@pytest.fixture(scope="module")
def one_process(data: Path, tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten steps by one process."""
    output = tmp_path_factory.mktemp("one_process")
    train(tiny(LARGE_EPS), data, output)
    return output


def test_two_processes_equal_one(data: Path, tiny: Config, tmp_path: Path) -> None:
    config = tiny("steps=4", LARGE_EPS)
    one, two = tmp_path / "one", tmp_path / "two"
    with launch(config, data, two, "--nproc-per-node=2") as process:
        train(config, data, one)
        assert finished(process) == 0
    assert_like_run(one, two)
    exported = weights(two)
    shutil.rmtree(two / "model")  # one process exports it again from the checkpoint of two
    assert train(config, data, two).resumed_at == 4
    assert all(torch.equal(tensor, exported[name]) for name, tensor in weights(two).items())


def test_a_process_without_an_image_does_not_hang(data: Path, tiny: Config, tmp_path: Path) -> None:
    """A step has one row, so the second of two processes never has one."""
    config = tiny("steps=3", LARGE_EPS, "data.tokens_per_step=40", "data.mixture={text: 0, caption: 1, interleaved: 0}")
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
def test_two_processes_with_other_sharding_equal_one(
    data: Path, tiny: Config, changes: list[str], tmp_path: Path
) -> None:
    config = tiny("steps=4", LARGE_EPS, *changes)
    unsharded = tiny("steps=4", LARGE_EPS, *(c for c in changes if not c.startswith("compute.")))
    one, two = tmp_path / "one", tmp_path / "two"
    num = 2 if config.compute.replicas == 2 else 1  # random numbers depend on the number of processes
    with launch(config, data, two, f"--nproc-per-node={num}") as process:
        train(unsharded, data, one)
        assert finished(process) == 0
    assert_like_run(one, two)


@pytest.mark.slow
def test_a_run_resumes_from_two_processes_to_one_and_back(
    data: Path, tiny: Config, one_process: Path, tmp_path: Path
) -> None:
    config, output = tiny(LARGE_EPS), tmp_path / "run"
    process = launch(config, data, output, "--nproc-per-node=2")
    when_written(output, 3, process.terminate).join()
    finished(process)
    watcher = when_written(output, 6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    middle = train(config, data, output)
    watcher.join()
    assert 3 <= middle.resumed_at < middle.num_steps < 10
    with launch(config, data, output, "--nproc-per-node=2") as process:
        assert finished(process) == 0
    assert_like_run(one_process, output, within=1e-5)


@pytest.mark.slow
def test_torchrun_restarts_all_processes_when_one_is_killed(
    data: Path, tiny: Config, one_process: Path, tmp_path: Path
) -> None:
    config, output = tiny(LARGE_EPS, "checkpoint.every_steps=3"), tmp_path / "run"
    torchrun = launch(config, data, output, "--nproc-per-node=2", "--max-restarts=1")
    when_written(output, 5, lambda: os.kill(max(children(torchrun.pid)), signal.SIGKILL)).join()
    assert finished(torchrun) == 0
    assert_like_run(one_process, output, within=1e-5)


def test_nodes_that_would_hang_after_a_restart_are_an_error(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"GROUP_WORLD_SIZE": "2", "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_MAX_RESTARTS": "3"}
    for name, value in {"RANK": "0", **variables}.items():
        monkeypatch.setenv(name, value)
    assert main(["train", f"--data={data}", f"--output={tmp_path}"]) == 2
    assert "need TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in capsys.readouterr().err


@pytest.mark.slow
def test_compiled_blocks_train_the_same(
    data: Path, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced only, since compilers differ by machine."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    for name in ("true", "false"):
        train(tiny("steps=3", LARGE_EPS, f"compute.compile={name}"), data, tmp_path / name)
    assert_like_run(tmp_path / "true", tmp_path / "false", within=1e-4)
