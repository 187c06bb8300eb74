"""Load recipes: shipped ones by name, others by path."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from schemas.errors import RecipeError
from schemas.overrides import merge, nearest, override, parse, validate
from schemas.recipe import Recipe
from schemas.renames import current_key, current_recipe, notice

_SHIPPED = files("jobs.recipes")


def names() -> list[str]:
    """List the recipes that ship with Weft."""
    return sorted(f.name.removesuffix(".yaml") for f in _SHIPPED.iterdir() if f.name.endswith(".yaml"))


def load(name: str, assignments: list[str] | None = None) -> Recipe:
    """Load a recipe by name or by the path of a YAML file, and apply `key=value` assignments.

    A file with `extends: NAME` needs only the keys that differ. In clip.model, clip.pretrained and clip.safety, paths
    that begin with ./ or ../ are relative to the folder of the file.

    Raises: RecipeError for an unknown name, key or value.
    """
    return build(_values(name), assignments or [], f"recipe {name}")


def build(values: dict[str, Any], assignments: Iterable[str], source: str) -> Recipe:
    """Apply `key=value` assignments to a recipe's values, and print one line with the former names that they use.

    Raises: RecipeError as load.
    """
    parts = [assignment.partition("=") for assignment in assignments]
    notice("--set", [(key, current_key(key)) for key, _, _ in parts if key != current_key(key)])
    current = [current_key(key) + sign + value for key, sign, value in parts]
    return validate(Recipe, override(current_recipe(values)[0], current), source)


def _values(name: str) -> dict[str, Any]:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise RecipeError(f"recipe file {name} does not exist")
        return _read(path.read_text("utf-8"), name, path.resolve().parent)
    if name not in names():
        raise RecipeError(f"unknown recipe {name}{nearest(name, names())}; `weft recipe list` shows all")
    return _read((_SHIPPED / f"{name}.yaml").read_text("utf-8"), name, Path.cwd())


def _read(text: str, name: str, folder: Path) -> dict[str, Any]:
    values, former = current_recipe(parse(text, f"recipe {name}"))
    notice(f"recipe {name}", former)
    base = values.pop("extends", None)
    clip = values.get("clip")
    for key in ("model", "pretrained", "safety"):
        if isinstance(clip, dict) and isinstance(clip.get(key), str):
            clip[key] = _resolve(folder, clip[key])
    return merge(_values(str(base)), values) if base else values


def _resolve(folder: Path, value: str) -> str:
    schema, path = ("local-dir:", value[10:]) if value.startswith("local-dir:") else ("", value)
    return f"{schema}{(folder / path).resolve()}" if path.startswith(("./", "../")) else value
