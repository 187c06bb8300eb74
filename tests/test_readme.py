"""The README's tree names every file."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_tree_is_complete() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    tree = (ROOT / "README.md").read_text("utf-8").split("## The tree")[1]
    named: set[str] = set()
    folders: list[str] = []
    for line in re.findall(r"^( *)(\S+)  +\S", tree, re.M):
        depth = len(line[0]) // 2
        path = "/".join([*folders[:depth], line[1].rstrip("/")])
        folders = [*folders[:depth], line[1].rstrip("/")]
        named.add(path)
    in_whole = (
        "sample/clip/",
        "tests/cases/",
        "tests/golden/",
        "benchmarks/results/",
    )  # data, told by the line of their folder
    expected = {f for f in listed if not f.endswith("__init__.py") and not f.startswith(in_whole)}
    assert expected - named <= {".gitignore", "README.md"}
    assert {n for n in named if not (ROOT / n).exists()} == set()
