"""Evaluation sets of texts: the strings of JSONL files, and where each stands."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import fsspec

from pipeline.read.source import open_source
from schemas.errors import PathError


class ItemText(NamedTuple):
    """A string of an item; `path` and `line` (from 1) say where the item stands."""

    path: str
    line: int
    text: str


def read_items(paths: Sequence[str], keys: Sequence[str]) -> Iterator[ItemText]:
    """Yield the strings of each item that stand below one of the keys, at any depth; without keys, all of them.

    A line is an item, of any JSON; empty lines are none. A file may be compressed, as its suffix says.
    Raises: PathError naming the file, and the line where one is at fault.
    """
    for path in paths:
        found = False
        for number, line in enumerate(_lines(path), 1):
            try:
                item = json.loads(line) if line.strip() else None
            except ValueError as error:  # a UnicodeDecodeError is one
                raise PathError(f"{path}:{number}: not JSON: {error}") from error
            except RecursionError as error:
                raise PathError(f"{path}:{number}: JSON too deep to read") from error
            for text in _strings(item, frozenset(keys), not keys):
                found = True
                yield ItemText(path, number, text)
        if not found:
            below = f" below {', '.join(keys)} (decontaminate.keys)" if keys else ""
            raise PathError(f"{path}: no item of it has a string{below}")


def _lines(path: str) -> Iterator[bytes]:
    open_source(path).close()  # says in one line why a file cannot be read, whatever its file system
    try:
        with fsspec.open(path, "rb", compression="infer") as file:
            yield from file
    except (OSError, EOFError, ValueError) as error:
        raise PathError(f"{path}: cannot be read: {error}") from error


def _strings(value: object, keys: frozenset[str], wanted: bool) -> Iterator[str]:
    if isinstance(value, str):
        if wanted:
            yield value
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part, keys, wanted)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _strings(part, keys, wanted or key in keys)
