"""Turn YAML and `--set key=value` into a validated model, with errors that name the key and the nearest right one."""

import copy
import difflib
import reprlib
from collections.abc import Iterable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.display import shorten
from schemas.errors import RecipeError


class Section(BaseModel):
    """A part of a recipe or configuration: frozen, closed to keys that it does not know and to NaN and infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Section)


def parse(text: str, source: str) -> dict[str, Any]:
    """Read keys and values written in YAML; `source` names where they stand.

    Raises: RecipeError when the text is no YAML, or anything but keys and values.
    """
    values = _yaml(text, source)
    if not isinstance(values, dict):
        raise RecipeError(f"{source}: expected keys and values, as `seed: 7`; found {type(values).__name__}")
    return values


def override(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return a copy of nested values with each `a.b.c=VALUE` set; VALUE is read as YAML.

    Raises: RecipeError for an assignment without `=`, with an empty key, or through a key that holds no section.
    """
    result = copy.deepcopy(values)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        *sections, last = path.strip().split(".")
        if not equals or not all((*sections, last)):
            raise RecipeError(f"--set {assignment}: write it as key=value, for instance seed=7")
        section = result
        for key in sections:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise RecipeError(f"--set {assignment}: {key} is a value, it has no keys of its own")
        section[last] = _value(text, f"--set {assignment}")
    return result


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return base with over laid on it, section by section."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def validate(model: type[Model], values: dict[str, Any], source: str) -> Model:
    """Build the model; `source` names where the values came from.

    Raises: RecipeError in one line: every wrong key with what was expected and, for an unknown one, the nearest.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source}: " + "; ".join(_line(model, e) for e in error.errors())) from error


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ' (did you mean X?)' when some known word is near, else ''."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise RecipeError(f"{source} is YAML that is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # numbers and dates that are none, keys that are lists
        raise RecipeError(f"{source} is not YAML: {shorten(error)}") from error


def _value(text: str, source: str) -> Any:
    """Read a value as people mean it.

    YAML 1.1 wants a point before the exponent of 1e-3, and takes it for a string; and it takes for a comment what
    follows " #", as in the name of a file.
    """
    value, bare = _yaml(text, source), text.strip()
    if not isinstance(value, str) or bare[:1] in tuple("\"'|>&!"):
        return value
    try:
        return float(bare) if bare[:1] in tuple("+-.0123456789") else bare
    except ValueError:
        return bare


def _line(model: type[BaseModel], error: Any) -> str:
    """Put one of pydantic's errors into words that name the key."""
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        return f"unknown key {key}{nearest(path[-1], _keys(model, path[:-1]))}"
    if error["type"] == "missing":
        return f"key {key} is missing"
    if error["type"] == "value_error":  # a model's own check, which names what it saw
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{key}: {error['msg']} (got {reprlib.repr(error['input'])})"  # aliases of YAML can make it endless


def _keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys of the section at `path`."""
    section: Any = model
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
