"""Turn YAML and `--set key=value` into a validated model, with errors that name the key and the nearest right one."""

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from schemas.errors import RecipeError

Model = TypeVar("Model", bound=BaseModel)


def override(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return a copy of nested values with each `a.b.c=VALUE` set; VALUE is read as YAML.

    Raises: RecipeError for an assignment without `=`, with an empty key, or through a key that holds no section.
    """
    result = yaml.safe_load(yaml.safe_dump(values))
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise RecipeError(f"--set {assignment}: write it as key=value, for instance seed=7")
        section = result
        for key in keys[:-1]:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise RecipeError(f"--set {assignment}: {key} is a value, it has no keys of its own")
        try:
            section[keys[-1]] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {assignment}: {text!r} is no YAML value") from error
    return result  # type: ignore[no-any-return]


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return base with over laid on it, section by section."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def validate(model: type[Model], values: Any, source: str) -> Model:
    """Build the model; `source` names where the values came from.

    Raises: RecipeError in one line: every wrong key with what was expected and, for an unknown one, the nearest.
    """
    if not isinstance(values, dict):
        raise RecipeError(f"{source}: expected keys and values, found {type(values).__name__}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source}: " + "; ".join(_line(model, e) for e in error.errors())) from error


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ' (did you mean X?)' when some known word is near, else ''."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _line(model: type[BaseModel], error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg']} (got {error['input']!r})"
    section: Any = model
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    return f"unknown key {key}{nearest(location[-1], section.model_fields)}"
