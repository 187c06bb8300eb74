"""Turn YAML and `--set key=value` into a validated model; errors name the key and suggest the nearest valid one."""

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
    """A section of a recipe or configuration: frozen; rejects unknown keys, NaN and infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Section)


def parse(text: str, source: str) -> dict[str, Any]:
    """Parse a YAML mapping; `source` names it in messages.

    Raises: RecipeError when the text is not YAML or not a mapping.
    """
    values = _yaml(text, source)
    if not isinstance(values, dict):
        raise RecipeError(f"{source}: expected keys and values, such as `seed: 7`; found {type(values).__name__}")
    return values


def override(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return a copy of nested values with each `a.b.c=VALUE` set; VALUE is read as YAML.

    Raises: RecipeError for an assignment without `=`, with an empty key, or below a key that is not a section.
    """
    result = copy.deepcopy(values)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        *sections, last = path.strip().split(".")
        if not equals or not all((*sections, last)):
            raise RecipeError(f"--set {assignment}: write it as key=value, for example seed=7")
        section = result
        for key in sections:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise RecipeError(f"--set {assignment}: {key} is a value and has no keys")
        section[last] = _value(text, f"--set {assignment}")
    return result


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` updated with `over`, section by section."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def validate(model: type[Model], values: dict[str, Any], source: str) -> Model:
    """Build the model; `source` names the origin of the values in messages.

    Raises: RecipeError in one line: every invalid key with the expected value or, if unknown, the nearest key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source}: " + "; ".join(_line(model, e) for e in error.errors())) from error


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ' (did you mean X?)' when a known word is similar, else ''."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise RecipeError(f"{source} is YAML that is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # invalid numbers and dates, lists as keys
        raise RecipeError(f"{source} is not YAML: {shorten(error)}") from error


def _value(text: str, source: str) -> Any:
    """Parse the value of an assignment.

    Unlike YAML 1.1, read 1e-3 as a number, and keep text after " #", as in a file name, instead of dropping it as a
    comment.
    """
    value, bare = _yaml(text, source), text.strip()
    if not isinstance(value, str) or bare[:1] in tuple("\"'|>&!"):
        return value
    try:
        return float(bare) if bare[:1] in tuple("+-.0123456789") else bare
    except ValueError:
        return bare


def _line(model: type[BaseModel], error: Any) -> str:
    """Return the message for one of pydantic's errors; it names the key."""
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        return f"unknown key {key}{nearest(path[-1], _keys(model, path[:-1]))}"
    if error["type"] == "missing":
        return f"key {key} is missing"
    if error["type"] == "value_error":  # raised by a model's validator, which names the key
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{key}: {error['msg']} (got {reprlib.repr(error['input'])})"  # YAML aliases can make it cyclic


def _keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys of the section at `path`."""
    section: Any = model
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
