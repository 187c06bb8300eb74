"""Read the benchmarks' own files: each row checked, and what is wrong with it told in one line with file and row."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from schemas.errors import PathError, SchemaError


class Row(BaseModel):
    """What is read of a row; more keys than these are not looked at."""

    model_config = ConfigDict(strict=True, extra="ignore")


Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A text that is not blank, without the spaces around it."""

R = TypeVar("R", bound=BaseModel)
_MAX_QUOTED = 120  # characters


def text_of(path: Path) -> str:
    """Read a file as UTF-8. Raises: PathError when there is none; SchemaError when it is something else."""
    if not path.is_file():
        raise PathError(f"no file {path}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SchemaError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise PathError(f"{path} cannot be read: {error.strerror}") from error


def read_json(path: Path, kind: type[R]) -> R:
    """Read a file that is one JSON value. Raises: as `text_of`; SchemaError, naming the place in it."""
    return _checked(kind, text_of(path), str(path))


def read_lines(path: Path, kind: type[R]) -> Iterator[tuple[str, R]]:
    """Read JSON lines, each with where it stands, for errors. Raises: as `text_of`; SchemaError, naming the line."""
    for number, line in enumerate(text_of(path).removesuffix("\n").split("\n"), 1):
        where = f"{path}, line {number}"
        yield where, _checked(kind, line, where)


def read_table(path: Path, kind: type[R], delimiter: str = ",", is_quoted: bool = True) -> Iterator[tuple[str, R]]:
    """Read a table with a header, each row with where it stands. Raises: as `text_of`; SchemaError, naming the line."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
    rows = csv.DictReader(io.StringIO(text_of(path), newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if None in row or None in row.values():
                raise SchemaError(f"{where}: {len(rows.fieldnames or [])} columns are wanted, as in the header")
            yield where, _checked(kind, json.dumps({key: value for key, value in row.items() if key}), where)
    except csv.Error as error:
        raise SchemaError(f"{path}, line {rows.reader.line_num}: {error}") from error


def image(folder: Path, name: str, where: str) -> Path:
    """Return where an image of a folder lies. Raises: PathError when there is none; SchemaError when it is outside."""
    if not name or "\0" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise SchemaError(f"{where}: {quoted(name)} leads out of the folder")
    try:
        found = (folder / name).is_file()
    except OSError:  # a name that is too long for a file
        found = False
    if not found:
        raise PathError(f"{where}: no image {quoted(name)} in {folder}")
    return folder / name


def quoted(value: object) -> str:
    """Quote what a file holds in a message, as Python does; what is long is cut."""
    told = repr(value)
    return told if len(told) <= _MAX_QUOTED else f"{told[:_MAX_QUOTED]}..."


def _checked(kind: type[R], text: str, where: str) -> R:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, first["loc"]))
        raise SchemaError(f"{where}: {at + ': ' if at else ''}{first['msg'][:300]}") from error
