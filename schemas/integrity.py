"""Detect damaged files: strict JSON parsing and SHA-256 checksums."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypedDict, get_origin, get_type_hints

from schemas.errors import IntegrityError

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_KINDS = {str: "a string", int: "a whole number", float: "a number", list: "a list", dict: "an object"}


def parse_json(data: bytes | str, source: str) -> Any:
    """Parse one JSON value; `source` names it in messages.

    Raises: IntegrityError, in one line, when it is not UTF-8, not JSON, nested too deeply, or holds a duplicate name,
        NaN, Infinity, a number outside the range of a double or a lone surrogate.
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
    """Check that a JSON value is an object with the fields of a TypedDict, or only those in `names`.

    Extra fields are allowed. Raises: IntegrityError that names the first field that is missing or has a wrong type.
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
        duplicate = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"duplicate name {duplicate[:100]!r}")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]} is outside the range of a double")
    return value


def _bounded(digits: str) -> int:
    if len(digits) > 20:  # a 64-bit integer has at most 20 characters
        raise ValueError(f"the number {digits[:40]} exceeds 64 bits")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _check_surrogates(value: Any) -> None:
    """Raise ValueError when a string holds a surrogate; the parser has already joined valid pairs."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise ValueError("a string holds a lone surrogate")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_surrogates(name)
            _check_surrogates(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_surrogates(inner)


SEAL = "_sha256"
FILES = "sums.json"  # in a folder: a sealed document with the checksums of all its other files
_OPEN = "0" * 64
_HEAD = re.compile(rb'\A\{\s*"_sha256": "([0-9a-f]{64})"')
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class Sum(TypedDict):
    """Size and checksum of a file."""

    num_bytes: int
    sha256: str


def sum_of(file: BinaryIO) -> Sum:
    """Compute the size and checksum of a file from its position to its end, in chunks."""
    digest, num_bytes, buffer = hashlib.sha256(), 0, memoryview(bytearray(1 << 20))
    while size := file.readinto(buffer):  # type: ignore[attr-defined]  # every file of Python and fsspec has it
        digest.update(buffer[:size])
        num_bytes += size
    return {"num_bytes": num_bytes, "sha256": digest.hexdigest()}


def difference(found: Sum, expected: Sum) -> str:
    """Describe how a file differs from its recorded checksum; '' when it does not."""
    if found["num_bytes"] != expected["num_bytes"]:
        return f"has changed since it was written: {found['num_bytes']:,} bytes of {expected['num_bytes']:,}"
    return "" if found["sha256"] == expected["sha256"] else "has changed since it was written: its SHA-256 differs"


def seal(value: Mapping[str, Any], sort_keys: bool = False) -> bytes:
    """Serialize a value as a JSON document that holds its own SHA-256; keys keep their order unless `sort_keys`."""
    body = json.dumps({SEAL: _OPEN, **value}, indent=1, sort_keys=sort_keys, ensure_ascii=False)
    first = f'{{\n "{SEAL}": "{_OPEN}"'
    assert body.startswith(first), "a key sorts before the seal"
    data = body.encode("utf-8", "surrogatepass")
    return first[:-65].encode() + hashlib.sha256(data).hexdigest().encode() + data[len(first) - 1 :]


def unseal(data: bytes, source: str = "it", is_strict: bool = False) -> tuple[Any, bool]:
    """Return a document's value, and whether it was sealed; `source` names it in messages.

    `is_strict` parses with `parse_json`.

    Raises: IntegrityError, in one line, when the document is invalid or has changed since it was written.
    """
    try:
        value = parse_json(data, source) if is_strict else json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{source} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        return value, False
    head = _HEAD.match(data)
    if head is None:
        if SEAL in value or any(
            k != "sha256" and isinstance(v, str) and _DIGEST.fullmatch(v) for k, v in value.items()
        ):
            raise IntegrityError(f"the seal of {source} is broken")  # its key or its value has changed
        return value, False
    start, end = head.span(1)
    if hashlib.sha256(data[:start] + _OPEN.encode() + data[end:]).hexdigest().encode() != head[1]:
        raise IntegrityError(f"{source} does not match the SHA-256 that it records")
    del value[SEAL]
    return value, True


def sum_folder(folder: Path, known: dict[str, Sum] | None = None) -> None:
    """Write FILES into a folder, with the checksums of all files below it; `known` ones are not read again."""
    sums = dict(known or {})
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name not in sums and name != FILES:
            with path.open("rb") as file:
                sums[name] = sum_of(file)
    (folder / FILES).write_bytes(seal({"files": sums}))


def check_folder(folder: Path, part: int = 0, parts: int = 1) -> list[str]:
    """Return the names of files in a folder that differ from FILES; checks every `parts`-th file from `part` on.

    A folder without FILES, written by an older release, has none.
    """
    if not (folder / FILES).is_file():
        return []
    try:
        sums: dict[str, Sum] = unseal((folder / FILES).read_bytes())[0]["files"]
    except (IntegrityError, KeyError, TypeError):
        return [FILES]
    return [name for name in sorted(sums)[part::parts] if _differs(folder / name, sums[name])]


def _differs(path: Path, expected: Sum) -> bool:
    try:
        with path.open("rb") as file:
            return bool(difference(sum_of(file), expected))
    except OSError:
        return True
