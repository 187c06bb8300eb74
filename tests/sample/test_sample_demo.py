"""The demo with wrong arguments: a usage line, and no folder is made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], [], ["a", "b"]])
def test_a_wrong_argument_gives_a_usage_line(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.sampleweb.demo", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python -m tests.sampleweb.demo DIR\n"
    assert list(tmp_path.iterdir()) == []
