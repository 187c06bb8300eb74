"""SIGINT and SIGTERM: the run is saved, one line says how to continue, and no process is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from training import when_written

from trainer import metrics
from trainer.cli import main
from trainer.config import TrainConfig
from trainer.evaluate import session
from trainer.load import Saved

WEFT = Path(sys.executable).parent / "weft"


@pytest.mark.parametrize(
    ("processes", "number"), [(1, signal.SIGINT), pytest.param(2, signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_weft_train_saves_and_says_how_to_continue(
    data: Path, tiny: Callable[..., TrainConfig], tmp_path: Path, processes: int, number: signal.Signals
) -> None:
    config, output = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(tiny("steps=100000").model_dump(mode="json")))
    process = subprocess.Popen(
        [WEFT, "train", "--config", config, "--data", data, "--output", output, "--processes", str(processes)],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may run in the background
    )
    when_written(output, 3, lambda: os.killpg(process.pid, number)).join()
    output_text, errors = process.communicate(timeout=400)
    assert process.returncode == 128 + number, errors
    progress = [line for line in errors.splitlines() if line.startswith("step ")]
    last = f"weft: interrupted by {number.name}; run the same command to continue"
    assert errors.splitlines() == [*progress, last]
    (saved,) = output.glob("step-*")
    assert f"stopped after step {int(saved.name[5:])}, which is saved" in output_text
    assert len(metrics.read(output)) == int(saved.name[5:]) >= 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_evaluation_says_how_to_continue(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object) -> Saved:
        signal.raise_signal(number)
        raise AssertionError("the signal was ignored")

    monkeypatch.setattr(session, "check", lambda request: ([], [], None, tmp_path))
    monkeypatch.setattr(session.models, "load", load)
    assert main(["eval", f"--checkpoint={tmp_path}", f"--data={tmp_path}", "--task=raven"]) == 128 + number
    assert capsys.readouterr().err == f"error: interrupted by {number.name}; run the same command to continue\n"
