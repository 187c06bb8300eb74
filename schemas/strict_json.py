"""JSON from files that others may have written or damaged, read by one strict reader.

RFC 8259 leaves to each reader what duplicate names, numbers beyond a double and lone surrogates mean (sections 4, 6
and 8.2). Here all of them are errors: two readers of a file must not disagree about it, and a lone surrogate cannot be
encoded again.
"""

import json
import math
import re
from typing import Any, NoReturn, get_origin, get_type_hints

from schemas.errors import IntegrityError

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_KINDS = {str: "a string", int: "a whole number", float: "a number", list: "a list", dict: "an object"}


def parse_json(data: bytes | str, source: str) -> Any:
    """Read one JSON value; `source` names where it is, for the message.

    Raises: IntegrityError, in one line, when it is not UTF-8, not JSON, nested too deeply for the parser, or holds a
        duplicate name, NaN, Infinity, a number beyond a double or a lone surrogate.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant, parse_int=_bounded
        )
        if _ESCAPED_SURROGATE.search(text):
            _check_surrogates(value)
    except RecursionError:
        raise IntegrityError(f"{source} is JSON that is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{source} is not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        empty = not text.strip()
        raise IntegrityError(f"{source} is {'empty' if empty else f'not valid JSON: {error}'}") from None
    return value


def check_object(value: Any, types: type, source: str, names: tuple[str, ...] = ()) -> None:
    """Check that a JSON value is an object with the fields of a TypedDict, or those of them that are named.

    More fields are no error. Raises: IntegrityError that names the first field which is missing or of another type.
    """
    if not isinstance(value, dict):
        raise IntegrityError(f"{source} is not a JSON object")
    hints = get_type_hints(types)
    for name in names or hints:
        if name not in value:
            raise IntegrityError(f"{source} lacks {name!r}")
        kind, found = get_origin(hints[name]) or hints[name], value[name]
        if isinstance(found, bool) or not isinstance(found, (int, float) if kind is float else kind):
            raise IntegrityError(f"{source}: {name!r} is not {_KINDS[kind]}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice[:100]!r} is there twice")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]} is beyond a double")
    return value


def _bounded(digits: str) -> int:
    if len(digits) > 20:  # a 64-bit integer has 20 characters at most
        raise ValueError(f"the number {digits[:40]} is beyond 64 bits")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _check_surrogates(value: Any) -> None:
    """Raise ValueError when some string holds a surrogate: pairs were joined when it was read."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise ValueError("a string holds half a surrogate pair")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_surrogates(name)
            _check_surrogates(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_surrogates(inner)
