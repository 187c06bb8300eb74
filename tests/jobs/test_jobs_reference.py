"""The reference pages in docs/ are current and complete."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from jobs.recipes import load, names
from schemas import shards, tables
from schemas.recipe import Recipe
from tools.reference import PAGES, walk

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == PAGES[name](), "`make docs` writes it anew"


@pytest.mark.parametrize("name", PAGES)
def test_every_row_has_as_many_cells_as_its_head(name: str) -> None:
    for lines in re.findall(r"(?:^\|.*\|\n)+", PAGES[name](), re.M):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines.splitlines()}
        assert len(counts) == 1, lines[:200]


def test_every_table_and_column_is_there() -> None:
    text = PAGES["tables.md"]()
    every = [t for module in (tables, shards) for t in vars(module).values() if isinstance(t, tables.Table)]
    for table in every:
        section = text.split(f"## `{table.name}`\n")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)`", section, re.M) == [c.name for c in table.columns]
        assert section.count("*(null)*") == sum(c.nullable for c in table.columns)


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        inner = isinstance(kind, type) and issubclass(kind, BaseModel)
        found += keys(kind, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return found


def test_every_key_of_a_recipe_is_described() -> None:
    text = PAGES["recipes.md"]().split("## Shipped recipes")[0]
    rows = dict(re.findall(r"^\| `([a-z_.0-9]+)` \|(.*)\|$", text, re.M))
    assert sorted(rows) == sorted(keys(Recipe))
    for key, cells in rows.items():
        assert re.split(r"(?<!\\)\|", cells)[-1].strip(), f"{key} has no description"
    assert "≥ 0, ≤ 1" in rows["filters.language.min_score"] and "`0.0`" in rows["filters.language.min_score"]
    assert "one of `blocks`, `trafilatura`" in rows["extract.engine"]
    assert "*required*" in rows["name"]


@pytest.mark.parametrize("name", names())
def test_what_a_shipped_recipe_sets(name: str) -> None:
    section = PAGES["recipes.md"]().split(f"### `{name}`\n")[1].split("\n### ")[0]
    recipe, plain = load(name), Recipe(name=name)

    def value(of: Recipe, key: str) -> Any:
        found: Any = of
        for part in key.split("."):
            found = getattr(found, part)
        return found

    told = set(re.findall(r"^\| `([a-z_.0-9]+)` \|", section, re.M))
    assert told == {k for k in keys(Recipe) if value(recipe, k) != value(plain, k)} - {"name", "about"}


def test_every_command_and_option_is_there() -> None:
    text = PAGES["commands.md"]()
    for name, command in walk():
        section = text.split(f"## `{name}`\n")[1].split("\n## ")[0]
        for parameter in command.params:
            for flag in parameter.opts if parameter.param_type_name == "option" else ():
                assert (f"`{flag}`" in section) != parameter.hidden, (name, flag)
        for example in re.findall(r"Example: `([^`]+)`", command.help or ""):
            assert f"```\n{example}\n```" in section
    assert {"weft run", "weft card", "weft recipe show"} <= {name for name, _ in walk()}


def test_wrong_arguments_get_a_usage_line(tmp_path: Path) -> None:
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-m", "tools.reference", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr == "usage: python -m tools.reference DIR\n"
