"""Imports of a worker leave no files, though it ends without Python's cleanup."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
OF_FETCH = """
import socket
lookups = []
socket.getaddrinfo = lambda *arguments, **options: lookups.append(arguments)
from pipeline.fetch.download import _downloader
from types import SimpleNamespace
_downloader(SimpleNamespace(config=SimpleNamespace(threads=1)), 1, None, ".")
import img2dataset.logger
assert not hasattr(img2dataset.logger.wandb, "init")
assert "torch" not in __import__("sys").modules, "img2dataset imports torch"
assert not lookups, f"img2dataset, or a package below it, looks up {lookups}"
"""
OF_SCORE = """
from pipeline.io.imports import import_open_clip
assert import_open_clip().list_models()
"""


@pytest.mark.parametrize("program", [OF_FETCH, OF_SCORE], ids=["fetch", "score"])
def test_nothing_is_left_behind(program: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("temporary", "home", "here")]
    for folder in folders:
        folder.mkdir()
    temporary, home, here = map(str, folders)
    ending = "import os, sys; sys.stdout.flush(); assert sys.modules.get('wandb', 0) == 0; os._exit(0)"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{ending}"],
        env={**os.environ, "TMPDIR": temporary, "HOME": home, "PYTHONPATH": str(ROOT)},
        cwd=here, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path for folder in folders for path in folder.rglob("*")] == []
