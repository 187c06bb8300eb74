"""Files that may be damaged: strict JSON, and the SHA-256 sums by which damage is found."""

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


SEAL = "_sha256"
FILES = "sums.json"  # of a folder: a sealed document of the sums of all its other files
_OPEN = "0" * 64
_HEAD = re.compile(rb'\A\{\s*"_sha256": "([0-9a-f]{64})"')
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class Sum(TypedDict):
    """What a file holds."""

    num_bytes: int
    sha256: str


class SummingFile:
    """A file for writing from its start to its end, summed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.num_bytes, self.digest = file, 0, hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        """Write bytes; return how many."""
        self.digest.update(data)
        self.num_bytes += memoryview(data).nbytes
        self.file.write(data)
        return memoryview(data).nbytes

    def tell(self) -> int:
        """Return the bytes written so far."""
        return self.num_bytes

    def flush(self) -> None:
        """Hand on what is buffered."""
        self.file.flush()

    def close(self) -> None:
        """Close the file; its sum stays."""
        self.closed = True
        self.file.close()

    @property
    def sum(self) -> Sum:
        """The sum of what was written so far."""
        return {"num_bytes": self.num_bytes, "sha256": self.digest.hexdigest()}


def sum_of(file: BinaryIO) -> Sum:
    """Sum a file to its end, piece by piece."""
    digest, num_bytes, buffer = hashlib.sha256(), 0, memoryview(bytearray(1 << 20))
    while size := file.readinto(buffer):  # type: ignore[attr-defined]  # every file of Python and fsspec has it
        digest.update(buffer[:size])
        num_bytes += size
    return {"num_bytes": num_bytes, "sha256": digest.hexdigest()}


def difference(found: Sum, said: Sum) -> str:
    """Say how a file differs from its sum; '' where it does not."""
    if found["num_bytes"] != said["num_bytes"]:
        return f"is not as it was written: {found['num_bytes']:,} bytes of {said['num_bytes']:,}"
    return "" if found["sha256"] == said["sha256"] else "is not as it was written: it has another SHA-256"


def seal(value: Mapping[str, Any], sort_keys: bool = False) -> bytes:
    """Return a value as a sealed document; its keys stay in their order, unless they are to be sorted."""
    body = json.dumps({SEAL: _OPEN, **value}, indent=1, sort_keys=sort_keys, ensure_ascii=False)
    first = f'{{\n "{SEAL}": "{_OPEN}"'
    assert body.startswith(first), "no key comes before the seal"
    data = body.encode("utf-8", "surrogatepass")
    return first[:-65].encode() + hashlib.sha256(data).hexdigest().encode() + data[len(first) - 1 :]


def unseal(data: bytes, source: str = "it", is_strict: bool = False) -> tuple[Any, bool]:
    """Return what a document holds, and whether it was sealed; `source` names it in messages.

    A strict reading refuses what `parse_json` refuses.

    Raises: IntegrityError, in one line, when it is not what was written.
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
            raise IntegrityError(f"the seal of {source} is broken")  # in the key of the seal, or its value
        return value, False
    start, end = head.span(1)
    if hashlib.sha256(data[:start] + _OPEN.encode() + data[end:]).hexdigest().encode() != head[1]:
        raise IntegrityError(f"{source} has another SHA-256 than it says")
    del value[SEAL]
    return value, True


def sum_folder(folder: Path, known: dict[str, Sum] | None = None) -> None:
    """Write FILES into a folder, of all files below it; those that are `known` are not read again."""
    sums = dict(known or {})
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name not in sums and name != FILES:
            with path.open("rb") as file:
                sums[name] = sum_of(file)
    (folder / FILES).write_bytes(seal({"files": sums}))


def check_folder(folder: Path, part: int = 0, parts: int = 1) -> list[str]:
    """Return the names of files of a folder that are not what its FILES says; of several parts of it, one.

    A folder without FILES, of an older release, has none.
    """
    if not (folder / FILES).is_file():
        return []
    try:
        sums: dict[str, Sum] = unseal((folder / FILES).read_bytes())[0]["files"]
    except (IntegrityError, KeyError, TypeError):
        return [FILES]
    return [name for name in sorted(sums)[part::parts] if _differs(folder / name, sums[name])]


def _differs(path: Path, said: Sum) -> bool:
    try:
        with path.open("rb") as file:
            return bool(difference(sum_of(file), said))
    except OSError:
        return True
