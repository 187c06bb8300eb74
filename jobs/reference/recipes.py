"""The page of recipes: every key with its type, bounds, default and meaning; and what each shipped recipe sets."""

import json
from collections.abc import Iterator
from typing import Any

from jobs.recipes import load, names
from pipeline.markdown import code, plain, table
from schemas.recipe import Recipe

_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
           "pattern": "matches {}"}  # fmt: skip
_LENGTHS = {"minItems": "{} or more", "minLength": "not empty"}
_TYPES = {"integer": "integer", "number": "number", "string": "string", "boolean": "true or false", "null": "null"}


def recipes() -> str:
    """Return the page."""
    schema = Recipe.model_json_schema()
    parts = [
        "# Recipes",
        "Made by `make docs` from `schemas/recipe` and `jobs/recipes`. A recipe is a YAML file, which may say "
        "`extends: NAME` and hold only what differs; `--set KEY=VALUE` lays one key over it, as "
        "`--set filters.language.min_score=0.7`. Unknown keys and values out of bounds are refused by name.",
        "## Every key",
        *(_section(name, rows) for name, rows in _sections(schema)),
        "## Shipped recipes",
        "What each sets otherwise than the defaults above.",
        *(_shipped(name) for name in names()),
    ]
    return "\n\n".join(parts) + "\n"


def _sections(schema: dict[str, Any]) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the name of each section, '' for the recipe itself, and a row for each of its keys."""
    pending = [("", schema)]
    while pending:
        prefix, section = pending.pop(0)
        rows, inner = [], []
        for name, value in section["properties"].items():
            key, target = f"{prefix}{name}", _target(schema, value)
            if "properties" in target:
                inner.append((f"{key}.", target))
            else:
                default = code(json.dumps(value["default"], ensure_ascii=False)) if "default" in value else "*needed*"
                rows.append([code(key), _kind(schema, value), default, plain(value.get("description", ""))])
        pending[:0] = inner
        if rows:
            yield prefix.rstrip("."), rows


def _section(name: str, rows: list[list[str]]) -> str:
    title = f"### {code(name)}" if name else "### The recipe itself"
    return f"{title}\n\n{table(('key', 'type and bounds', 'default', 'what it does'), rows)}"


def _target(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference to the section that it means."""
    if "$ref" in value:
        target: dict[str, Any] = schema["$defs"][value["$ref"].rpartition("/")[2]]
        return target
    return value


def _kind(schema: dict[str, Any], value: dict[str, Any]) -> str:
    """Tell a value's type and bounds in words."""
    if "anyOf" in value:
        return " or ".join(_kind(schema, {**option}) for option in value["anyOf"])
    if "enum" in value:
        return "one of " + ", ".join(code(str(item)) for item in value["enum"])
    if "const" in value:
        return code(str(value["const"]))
    lengths = [text.format(value[key]) for key, text in _LENGTHS.items() if key in value]
    bounds = [
        text.format(code(value[key]) if key == "pattern" else f"{value[key]:g}")
        for key, text in _BOUNDS.items()
        if key in value
    ]
    if value.get("type") == "array":
        base = f"list of {_kind(schema, value['items'])}"
    elif value.get("type") == "object":
        base = f"names, each with {_kind(schema, value['additionalProperties'])}"
    else:
        base = _TYPES[value["type"]]
    return ", ".join([base, *bounds, *lengths])


def _shipped(name: str) -> str:
    recipe = load(name)
    plainly = Recipe(name=recipe.name, about=recipe.about)
    rows = [[code(key), code(json.dumps(value, ensure_ascii=False))] for key, value in _differing(
        plainly.model_dump(mode="json"), recipe.model_dump(mode="json"))]  # fmt: skip
    return f"### {code(name)}\n\n{plain(recipe.about)}.\n\n{table(('key', 'value'), rows)}"


def _differing(default: dict[str, Any], values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(default[key], dict) and default[key]:
            yield from _differing(default[key], value, f"{prefix}{key}.")
        elif value != default[key]:
            yield f"{prefix}{key}", value
