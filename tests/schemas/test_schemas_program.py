"""A program whose output is not read, and the message for a missing package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.program import missing_package

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from schemas.program import run_program

def work():
    {}
    return 3

sys.exit(run_program(work))
"""


def run(work: str, stdout: int, is_closed: bool = False) -> tuple[int, bytes]:
    """Run a program; return its exit status and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(work)], cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, check=False,
        preexec_fn=(lambda: os.close(1)) if is_closed else None,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("work", "status"),
    [
        ("print('held until the end')", 141),
        ("print('written at once', flush=True)", 141),
        ("print('as argparse does'); sys.exit(0)", 141),
        ("raise ValueError('of the work')", 1),
    ],
)
def test_a_pipe_without_a_reader(work: str, status: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended, said = run(work, writer)
    os.close(writer)
    assert ended == status and (b"ValueError: of the work" in said if status == 1 else said == b"")


@pytest.mark.parametrize("flush", [False, True])
def test_a_full_disk_is_one_line(flush: bool) -> None:
    with Path("/dev/full").open("w") as full:
        status, said = run(f"print('lost', flush={flush})", full.fileno())
    assert status == 1
    assert said == b"no space left to write the output: free some and try again\n"


def test_standard_output_with_a_reader() -> None:
    assert run("print('words')", subprocess.DEVNULL) == (3, b"")


def test_a_closed_standard_output_is_not_reused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    work = f"file = open({str(path)!r}, 'w'); print('lost', flush=True); file.write('kept'); file.close()"
    assert run(work, subprocess.DEVNULL, is_closed=True) == (3, b"")
    assert path.read_text() == "kept"


def test_a_module_of_the_project_is_not_a_missing_package() -> None:
    assert missing_package(ModuleNotFoundError("No module named 'jobs.none'", name="jobs.none")) is None
    assert missing_package(ImportError("cannot import name")) is None
    assert 'not installed: pip install "weft[pipeline]"' in str(
        missing_package(ModuleNotFoundError("No module named 'lxml'", name="lxml"))
    )
