"""Every package that is installed is pinned, at the version that is installed."""

import re
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
BY_PYTHON = {"pip", "setuptools"}  # come with the interpreter's own venv module


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()  # Python packaging's normal form of a name


def test_what_is_installed_is_what_is_pinned() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {_name(name): version for name, version in (line.split("==") for line in lines)}
    installed = {_name(d.name): d.version for d in distributions() if _name(d.name) not in {"weft", *BY_PYTHON}}
    assert {n: v for n, v in installed.items() if pinned.get(n) != v} == {}
