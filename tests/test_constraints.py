"""Direct and indirect dependencies of Weft are pinned; other installed packages do not matter."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
EXTRAS = ("lean", "pipeline", "train", "dev")  # of `make setup`
BY_PYTHON = {"pip", "setuptools"}  # come with the interpreter's own venv module


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()  # Python packaging's normal form of a name


def pinned() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    return {_name(name): version for name, version in (line.split("==") for line in lines)}


def own_requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    return [r for r in map(Requirement, (*project["dependencies"], *extras)) if r.name != project["name"]]


def needed_by(requirement: Requirement) -> Iterator[Requirement]:
    """Yield the dependencies of a package; none if it is not installed."""
    try:
        lines = requires(requirement.name) or []
    except PackageNotFoundError:
        return
    for needed in map(Requirement, lines):
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)):
            yield needed


def test_what_is_needed_is_pinned_at_a_version_that_fits() -> None:
    pins, seen = pinned(), set[str]()
    todo = [r for r in own_requirements() if r.marker is None or r.marker.evaluate()]
    while todo:
        requirement = todo.pop()
        name = _name(requirement.name)
        if str(requirement) in seen or name in BY_PYTHON:
            continue
        seen.add(str(requirement))
        assert name in pins, f"{requirement} is not pinned"
        assert requirement.specifier.contains(pins[name], prereleases=True), (
            f"{requirement}, but {pins[name]} is pinned"
        )
        todo += needed_by(requirement)
