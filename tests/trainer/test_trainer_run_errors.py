"""A user error gives one line and status 2 with any number of processes, and none of them hangs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from training import ROOT, train

from jobs.cli.app import main
from trainer import loop
from trainer.config import TrainConfig

Config = Callable[..., TrainConfig]


def weft(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line in this process, which may not start others; return its exit status."""
    monkeypatch.setattr(loop, "launch", lambda *_: pytest.fail("processes were started"))
    monkeypatch.setattr(sys, "argv", ["weft", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def tiny_file(tmp_path: Path, tiny: Config) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny("steps=4").model_dump(mode="json")))
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data=/nonexistent"], "no shards.json in /nonexistent"),
        (["--config=/nonexistent.yaml"], "no configuration named"),
        (["--set=model.width=63"], "must be a multiple of"),
        (["--set=stepz=3"], "did you mean steps"),
        (["--set=compute.replicas=4"], "does not divide 2 processes"),
        (["--set=data.mixture={text: 0, caption: 0, interleaved: 0}"], "some corpus a share above 0"),
        (["--tokenizer=/nonexistent"], "no tokenizer in /nonexistent"),
        (["--from=/nonexistent"], "no checkpoint in /nonexistent"),
        (["--set=watch.validate_every_steps=2"], "holds no validation split"),
        (["--set=data.sequence_length=32"], "was made with another configuration"),
    ],
)
def test_a_user_error_is_found_before_processes_start(
    options: list[str], message: str, data: Path, tiny: Config, tiny_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    output = tmp_path / "run"
    if "another configuration" in message:
        train(tiny("steps=2", "checkpoint.every_steps=1"), data, output)
        capfd.readouterr()
    given = ["train", f"--config={tiny_file}", f"--data={data}", f"--output={output}", "--processes=2", *options]
    assert weft(monkeypatch, *given) == 2
    out, err = capfd.readouterr()
    assert out == "" and message in err and err.startswith("weft: ")
    assert err.count("\n") == 1, err


FAULTY = """
import os, sys
from schemas.errors import PathError
from trainer.cli import main
from trainer.data.streams import RowSource

read, times = RowSource._pixels, []

def pixels(self, *arguments):
    times.append(1)
    if os.environ["RANK"] == "1" and len(times) > 2:
        raise PathError("caption/caption-00000.tar cannot be read: it is gone")
    return read(self, *arguments)

RowSource._pixels = pixels
sys.exit(main())
"""


def in_two_processes(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys; from trainer.distributed import launch; sys.exit(launch({module!r}, sys.argv[1:], 2))"
    path = os.pathsep.join((str(ROOT), str(folder)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip


def test_an_error_of_one_process_ends_all_with_one_line(
    data: Path, tiny: Config, tiny_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    arguments = [f"--config={tiny_file}", f"--data={data}", f"--output={tmp_path / 'run'}", "--set=steps=50"]
    done = in_two_processes(tmp_path, "faulty", "train", *arguments)
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if not line.startswith("step ")]
    assert errors == ["error: caption/caption-00000.tar cannot be read: it is gone"]


def test_a_damaged_index_ends_all_processes_with_one_line(data: Path, tiny_file: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data/shards/text/text-00001.index.parquet").write_bytes(b"PAR1")
    arguments = [f"--config={tiny_file}", f"--data={tmp_path / 'data'}", f"--output={tmp_path / 'run'}"]
    done = in_two_processes(tmp_path, "trainer", "train", *arguments)
    assert done.returncode == 2, done.stderr
    (error,) = [line for line in done.stderr.splitlines() if not line.startswith("step ")]
    assert error.startswith("error: text/text-00001.index.parquet has changed since it was written")


def test_an_output_that_cannot_be_written_ends_all_processes_with_one_line(
    data: Path, tiny_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    arguments = [f"--config={tiny_file}", f"--data={data}", f"--output={tmp_path / 'file' / 'run'}"]
    done = in_two_processes(tmp_path, "trainer", "train", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "choose another --output" in done.stderr
