"""Training runs: exact resumption, checkpoints, and errors."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training import assert_same_run, launch, train, when_written

from schemas.errors import DivergedError, PathError, RecipeError
from trainer import metrics
from trainer.checkpoint import Writer
from trainer.cli import main
from trainer.config import TrainConfig, load
from trainer.model.kosmos import Kosmos

Config = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten uninterrupted steps, with dropout, so that random numbers must be resumed too."""
    output = tmp_path_factory.mktemp("uninterrupted")
    summary = train(tiny("model.dropout=0.1"), data, output)
    assert (summary.num_steps, summary.resumed_at, summary.interrupted_by) == (10, 0, 0)
    return output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_by_a_signal_resumes_exactly(
    data: Path, tiny: Config, uninterrupted: Path, tmp_path: Path, number: signal.Signals
) -> None:
    config = tiny("model.dropout=0.1")
    watcher = when_written(tmp_path, 4, lambda: os.kill(os.getpid(), number))
    first = train(config, data, tmp_path)
    watcher.join()
    assert first.interrupted_by == number
    assert 4 <= first.num_steps < 10
    assert not (tmp_path / "model").exists()
    second = train(config, data, tmp_path)
    assert (second.resumed_at, second.num_steps, second.interrupted_by) == (first.num_steps, 10, 0)
    assert_same_run(uninterrupted, tmp_path)


def test_a_run_resumes_after_lost_steps_and_with_partial_files(
    data: Path, tiny: Config, uninterrupted: Path, tmp_path: Path
) -> None:
    config = tiny("model.dropout=0.1", "checkpoint.every_steps=3", "checkpoint.keep=2")
    train(config, data, tmp_path)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000009", "step-00000010"]
    (tmp_path / "step-00000010").rename(tmp_path / ".step-00000010")  # as if killed while it was written
    with (tmp_path / metrics.FILE).open("a") as file:
        file.write('{"step": 1')
    assert train(config, data, tmp_path).resumed_at == 9
    assert_same_run(uninterrupted, tmp_path)


def test_a_complete_run_is_not_repeated(data: Path, tiny: Config, uninterrupted: Path) -> None:
    before = (uninterrupted / metrics.FILE).read_text()
    assert train(tiny("model.dropout=0.1", "checkpoint.keep=1"), data, uninterrupted).resumed_at == 10
    assert (uninterrupted / metrics.FILE).read_text() == before


def test_a_changed_key_is_named(data: Path, tiny: Config, tmp_path: Path) -> None:
    train(tiny("steps=2"), data, tmp_path)
    with pytest.raises(RecipeError, match=r"optimizer.learning_rate is 0.003 there and 0.1 here; --overwrite"):
        train(tiny("steps=2", "optimizer.learning_rate=0.1"), data, tmp_path)
    assert train(tiny("steps=2", "optimizer.learning_rate=0.1"), data, tmp_path, overwrite=True).resumed_at == 0


def test_the_exported_configuration_loads_and_rates_follow_the_schedule(uninterrupted: Path, tiny: Config) -> None:
    assert load(str(uninterrupted / "model" / "config.yaml")) == tiny("model.dropout=0.1")
    rates = [m.learning_rate / 0.003 for m in metrics.read(uninterrupted)]
    assert rates == pytest.approx([1 / 2, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "no shards.json in nowhere"),
        (["--data", "{data}", "--set", "modle.width=3"], "unknown key modle (did you mean model?)"),
        (["--data", "{data}", "--tokenizer", "nowhere"], "no tokenizer in nowhere"),
        (["--data", "{data}", "--output", "/proc/nothing"], "cannot write to /proc/nothing"),
        (["--data", "{data}", "--output", "{data}/n", "--set", "compute.replicas=2"], "does not divide 1 processes"),
    ],
)
def test_a_user_error_gives_one_line_and_status_2(
    data: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *(a.format(data=data) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_killed_run_resumes_exactly(data: Path, tiny: Config, uninterrupted: Path, tmp_path: Path) -> None:
    config = tiny("model.dropout=0.1", "checkpoint.every_steps=5")
    output = tmp_path / "run"
    process = launch(config, data, output)
    when_written(output, 7, process.kill).join()
    assert process.wait(200) == -signal.SIGKILL
    state = json.loads((output / "step-00000005" / "state.json").read_text())
    cursors = {corpus: position["streams"] for corpus, position in state["loader"]["corpora"].items()}
    assert all(any(s["position"] for s in cursors[corpus]) for corpus in ("text", "caption", "interleaved"))
    assert all(
        any(s["token"] for s in cursors[corpus]) for corpus in ("text", "interleaved")
    )  # captions are never split
    assert train(config, data, output).resumed_at == 5
    assert_same_run(uninterrupted, output)


NEVER_WRITTEN = """
import threading
from trainer import checkpoint
finish = checkpoint.Writer.finish
checkpoint.Writer.finish = lambda w, **a: threading.Event().wait() if w._state.step == 6 else finish(w, **a)
"""


@pytest.mark.slow
def test_a_run_that_was_killed_during_a_save_resumes_exactly(
    data: Path, tiny: Config, uninterrupted: Path, tmp_path: Path
) -> None:
    config = tiny("model.dropout=0.1", "checkpoint.every_steps=3")
    output = tmp_path / "run"
    process = launch(config, data, output, before=NEVER_WRITTEN)
    when_written(output, 8, process.kill).join()  # training continued for two steps
    assert process.wait(200) == -signal.SIGKILL
    assert sorted(p.name for p in output.glob("*step-*")) == [".step-00000006", "step-00000003"]
    assert train(config, data, output).resumed_at == 3
    assert_same_run(uninterrupted, output)


def test_synchronous_and_asynchronous_saves_are_equal(data: Path, tiny: Config, tmp_path: Path) -> None:
    for name in ("true", "false"):
        train(tiny("steps=4", "checkpoint.every_steps=2", f"checkpoint.asynchronous={name}"), data, tmp_path / name)
    for step in ("step-00000002", "step-00000004"):
        one, other = (tmp_path / name / step for name in ("true", "false"))
        assert {p.suffix for p in one.iterdir()} == {".safetensors", ".json"}  # nothing is pickled
        (file,) = one.glob("*.safetensors")
        there = load_file(other / file.name)
        assert all(torch.equal(tensor, there[key]) for key, tensor in load_file(file).items())


def test_a_save_waits_for_the_previous_one(
    data: Path, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Writer.finish
    monkeypatch.setattr(Writer, "finish", lambda *a, **named: (time.sleep(0.5), finish(*a, **named)))
    train(tiny("steps=3", "checkpoint.every_steps=1"), data, tmp_path)
    assert metrics.read(tmp_path)[2].save_seconds > 0.3
    assert len(list(tmp_path.glob("step-*"))) == 2


def test_a_checkpoint_that_cannot_be_written_is_a_path_error(
    data: Path, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "finish", full)
    with pytest.raises(PathError, match=r"cannot save to .*No space left on device"):
        train(tiny("steps=2"), data, tmp_path)


def make_loss_nan(monkeypatch: pytest.MonkeyPatch, forwards: range) -> None:
    """Make the loss of some forward passes, counted over the run, NaN."""
    forward, counted = Kosmos.forward, iter(range(10**6))
    monkeypatch.setattr(
        Kosmos, "forward", lambda *given: forward(*given) * (float("nan") if next(counted) in forwards else 1.0)
    )


def test_a_step_that_is_not_finite_changes_nothing(
    data: Path, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_loss_nan(monkeypatch, range(0, 1))
    train(tiny("steps=3", "checkpoint.every_steps=1", "checkpoint.keep=3"), data, tmp_path)
    assert [m.applied for m in metrics.read(tmp_path)] == [False, True, True]
    assert metrics.read(tmp_path)[0].gradient_norm is None
    assert "skipped: step 1 (batch" in capsys.readouterr().err
    steps = [load_file(next((tmp_path / f"step-{s:08d}").glob("*.safetensors"))) for s in (1, 2)]
    assert not any(steps[0][key].any() for key in steps[0] if key.startswith("optimizer.") and "exp_avg" in key)
    assert any(steps[1][key].any() for key in steps[1] if key.startswith("optimizer.") and "exp_avg" in key)
    assert all(t.isfinite().all() for t in steps[1].values())


def test_several_steps_that_are_not_finite_end_the_run(
    data: Path, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_loss_nan(monkeypatch, range(10**6))
    with pytest.raises(
        DivergedError, match=r"step 3 \(batch \w{16}\): the loss of .* nor was it in the 2 steps before"
    ):
        train(tiny("optimizer.max_bad_steps=2"), data, tmp_path)
    assert len(metrics.read(tmp_path)) == 3


def test_missing_shards_are_a_path_error(tiny: Config, tmp_path: Path) -> None:
    with pytest.raises(PathError):
        train(tiny(), tmp_path, tmp_path / "out")
