"""The README is short and names the existing folders."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAX_README_BYTES = 10_000


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= MAX_README_BYTES


def test_the_tree_names_every_package() -> None:
    tree = (ROOT / "README.md").read_text("utf-8").split("## The tree")[1]
    named = set(re.findall(r"^\| `(\w+)/` \|", tree, re.MULTILINE))
    assert {folder.parent.name for folder in ROOT.glob("*/__init__.py")} <= named
    assert all((ROOT / name).is_dir() for name in named)
