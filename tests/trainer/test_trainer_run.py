"""Whole runs: exact resumption, several processes, and what a run refuses."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from schemas.errors import PathError, RecipeError
from trainer import metrics
from trainer.config import TrainConfig, load
from trainer.train import Summary, main, run

Config = Callable[..., TrainConfig]


def train(config: TrainConfig, data: Path, output: Path, overwrite: bool = False) -> Summary:
    return run(config, str(data), str(data / "tokenizer"), str(output), overwrite)


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "model" / "model.safetensors")


def assert_same_run(one: Path, other: Path) -> None:
    """Batches, losses and weights are equal, bit for bit."""
    for a, b in zip(metrics.read(one), metrics.read(other), strict=True):
        assert (a.step, a.batch, a.loss, a.gradient_norm) == (b.step, b.batch, b.loss, b.gradient_norm)
    assert weights(one).keys() == weights(other).keys()
    assert all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


@pytest.fixture(scope="module")
def whole(data: Path, tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten steps in one go, with dropout, so that chance must be resumed too."""
    output = tmp_path_factory.mktemp("whole")
    summary = train(tiny("model.dropout=0.1"), data, output)
    assert (summary.num_steps, summary.resumed_at, summary.terminated) == (10, 0, False)
    return output


def when_written(output: Path, num_lines: int, do: Callable[[], None]) -> threading.Thread:
    """Do something as soon as a run has logged so many steps."""

    def watch() -> None:
        deadline = time.monotonic() + 120
        while len(metrics.read(output)) < num_lines and time.monotonic() < deadline:
            time.sleep(0.002)
        do()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_run_that_sigterm_ends_resumes_exactly(data: Path, tiny: Config, whole: Path, tmp_path: Path) -> None:
    config = tiny("model.dropout=0.1")
    watcher = when_written(tmp_path, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    first = train(config, data, tmp_path)
    watcher.join()
    assert first.terminated
    assert 4 <= first.num_steps < 10
    assert not (tmp_path / "model").exists()
    second = train(config, data, tmp_path)
    assert (second.resumed_at, second.num_steps, second.terminated) == (first.num_steps, 10, False)
    assert_same_run(whole, tmp_path)


def test_a_checkpoint_is_resumed_past_lost_steps_and_partial_files(
    data: Path, tiny: Config, whole: Path, tmp_path: Path
) -> None:
    config = tiny("model.dropout=0.1", "checkpoint.every_steps=3", "checkpoint.keep=2")
    train(config, data, tmp_path)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000009", "step-00000010"]
    (tmp_path / "step-00000010").rename(tmp_path / ".step-00000010")  # as when killed while it was written
    with (tmp_path / metrics.FILE).open("a") as file:
        file.write('{"step": 1')
    assert train(config, data, tmp_path).resumed_at == 9
    assert_same_run(whole, tmp_path)


def test_a_complete_run_is_not_repeated(data: Path, tiny: Config, whole: Path) -> None:
    before = (whole / metrics.FILE).read_text()
    assert train(tiny("model.dropout=0.1", "checkpoint.keep=1"), data, whole).resumed_at == 10
    assert (whole / metrics.FILE).read_text() == before


def test_another_configuration_is_refused_by_name(data: Path, tiny: Config, tmp_path: Path) -> None:
    train(tiny("steps=2"), data, tmp_path)
    with pytest.raises(RecipeError, match=r"optimizer.learning_rate is 0.003 there and 0.1 here; --overwrite"):
        train(tiny("steps=2", "optimizer.learning_rate=0.1"), data, tmp_path)
    assert train(tiny("steps=2", "optimizer.learning_rate=0.1"), data, tmp_path, overwrite=True).resumed_at == 0


def test_an_export_loads_and_rates_follow_the_schedule(whole: Path, tiny: Config) -> None:
    assert load(str(whole / "model" / "config.yaml")) == tiny("model.dropout=0.1")
    rates = [m.learning_rate / 0.003 for m in metrics.read(whole)]
    assert rates == pytest.approx([1 / 2, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "nowhere"], "no shards.json in nowhere"),
        (["--data", "{data}", "--set", "modle.width=3"], "unknown key modle (did you mean model?)"),
        (["--data", "{data}", "--tokenizer", "nowhere"], "no tokenizer in nowhere"),
        (["--data", "{data}", "--output", "/proc/nothing"], "cannot write to /proc/nothing"),
    ],
)
def test_a_user_s_error_is_one_line_and_status_2(
    data: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([a.format(data=data) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def launch(config: TrainConfig, data: Path, output: Path, num_processes: int | None = None) -> subprocess.Popen[bytes]:
    """Start a run of its own, by torchrun when a number of processes is given."""
    path = output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    command = [*torchrun, f"--nproc-per-node={num_processes}"] if num_processes else []
    command += ["-m", "trainer.train", f"--config={path}", f"--data={data}", f"--output={output}"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(root)}
    return subprocess.Popen([sys.executable, *command], env=environment, cwd=root, stdin=subprocess.DEVNULL)


def test_two_processes_equal_one(data: Path, tiny: Config, tmp_path: Path) -> None:
    config = tiny("steps=4")
    with launch(config, data, tmp_path / "two", num_processes=2) as process:
        train(config, data, tmp_path / "one")
        assert process.wait(200) == 0
    one, two = tmp_path / "one", tmp_path / "two"
    for a, b in zip(metrics.read(one), metrics.read(two), strict=True):
        assert a.batch == b.batch
        assert a.loss == pytest.approx(b.loss, abs=1e-5)
    for name, tensor in weights(one).items():
        torch.testing.assert_close(tensor, weights(two)[name], rtol=0, atol=1e-5, msg=name)
    exported = weights(two)
    shutil.rmtree(two / "model")  # to be exported again, by one process from the checkpoint of two
    assert train(config, data, two).resumed_at == 4
    assert all(torch.equal(tensor, exported[name]) for name, tensor in weights(two).items())


@pytest.mark.slow
def test_a_killed_run_resumes_exactly(data: Path, tiny: Config, whole: Path, tmp_path: Path) -> None:
    config = tiny("model.dropout=0.1", "checkpoint.every_steps=5")
    output = tmp_path / "run"
    process = launch(config, data, output)
    when_written(output, 7, process.kill).join()
    assert process.wait(60) == -signal.SIGKILL
    assert train(config, data, output).resumed_at == 5
    assert_same_run(whole, output)


def test_missing_shards_are_a_path_error(tiny: Config, tmp_path: Path) -> None:
    with pytest.raises(PathError):
        train(tiny(), tmp_path, tmp_path / "out")
