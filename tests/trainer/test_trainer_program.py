"""`python -m trainer` without PyTorch, and with a closed standard output."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from training import ROOT, train

from trainer.config import TrainConfig

BARE = """
import runpy, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "arguments",
    ["train --data=OUT", "generate --checkpoint=OUT a", "eval --checkpoint=OUT --data=OUT --task=raven", "tasks"],
)
def test_without_pytorch_one_line_says_how_to_install_it(arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BARE, "trainer", *arguments.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    message = 'error: this command needs the package torch, which is not installed: pip install "weft[train]"\n'
    assert done.stderr == message


def test_a_closed_pipe_ends_a_command_quietly(data: Path, tiny: Callable[..., TrainConfig], tmp_path: Path) -> None:
    """For output at the end, such as help, and for streamed output, such as an answer."""
    train(tiny("steps=1"), data, tmp_path / "run")
    answer = ["generate", "--checkpoint", str(tmp_path / "run"), "a disc", "--max-tokens=8"]
    for arguments in (["eval", "--help"], answer):
        reader, writer = os.pipe()
        os.close(reader)  # before anything is written, like `head` that has ended
        done = subprocess.run(
            [sys.executable, "-m", "trainer", *arguments], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=writer, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b""), arguments
