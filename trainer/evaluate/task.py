"""A task: its examples, how they are answered, and how the answers are scored."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from statistics import fmean, stdev
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from schemas.errors import PathError, SchemaError
from trainer.evaluate.metrics import Z_95, accuracy
from trainer.generate.engine import PLACEHOLDER

CONTEXT = "<context>"


@dataclass(frozen=True)
class Example:
    """One example of a benchmark."""

    id: str
    """Its name. Examples that reveal each other's answer share one."""
    words: str
    """The prompt, with `<image>` for each image and `<context>` for the context."""
    images: tuple[Path, ...]
    right: tuple[str, ...]
    """Right answers, at least one. A shot shows the first."""
    options: tuple[str, ...] = ()
    """Possible answers; empty: free text."""
    candidates: tuple[Path, ...] = ()
    """Alternatives for the last image. The answer is the number, from 0, of the one after which `options[0]` is most
    likely."""
    context: str = ""
    """Text that is truncated if the prompt is too long for the model."""


@dataclass(frozen=True)
class Completion:
    """A model's answer to an example."""

    text: str
    """The generated text, the most likely option, or the number of the candidate."""
    log_p: tuple[float, ...] = ()
    """Of each option, or of each candidate."""


def plain(words: str) -> str:
    """Escape placeholders in words from a benchmark's files, and strip them."""
    for mark in (PLACEHOLDER, CONTEXT):
        words = words.replace(mark, mark.replace("<", "< "))
    return words.strip()


How = Literal["say", "rank", "spell"]


@dataclass(frozen=True)
class TaskScore:
    """A score on the paper's scale, of which 100 is the best, with its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AnswerMode:
    """How examples are answered."""

    how: How
    """say: generated text; rank: multiple choice, by the log-probability of options; spell: constrained decoding, whose
    cost does not depend on the number of options."""
    max_tokens: int = 16
    """Maximum tokens of an answer without options."""
    num_beams: int = 1


SAY, RANK, SPELL = AnswerMode("say"), AnswerMode("rank"), AnswerMode("spell")


@dataclass(frozen=True)
class Task:
    """One benchmark."""

    name: str
    """Its name, and without `folder` the name of the folder of its files."""
    about: str
    """One line: the task, and its files."""
    read: Callable[[Path, Path], list[Example]]
    """Read examples from a folder; a second one is for generated images. Raises: PathError when a file or an image is
    missing, SchemaError that names file and row when one is malformed."""
    score: Callable[[Sequence[Example], Sequence[Completion]], dict[str, TaskScore]]
    """Score the answers: a score for each metric, the paper's first."""
    mode: AnswerMode
    read_shots: Callable[[Path, Path], list[Example]] | None = None
    """Read the pool of shots, as `read`; an example is never its own shot. None: the task has no shots."""
    folder: str = ""
    """Folder of its files, if it shares them with another task."""

    def reading_once(self) -> Self:
        """Return the task with cached reading of files."""
        return replace(self, read=cache(self.read), read_shots=self.read_shots and cache(self.read_shots))


def share(right: Sequence[bool]) -> TaskScore:
    """Return the share of right answers, with Wilson's interval."""
    found = accuracy(right)
    return TaskScore(100 * found.value, 100 * found.low, 100 * found.high)


def mean(parts: Sequence[float]) -> TaskScore:
    """Return the mean of scores from 0 to 1, with the interval by its standard error."""
    middle = fmean(parts)
    reach = Z_95 * stdev(parts) / math.sqrt(len(parts)) if len(parts) > 1 else 0.0
    return TaskScore(100 * middle, 100 * max(0.0, middle - reach), 100 * min(1.0, middle + reach))


def one_of_right(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Return the accuracy: an answer is right when it equals one of the right ones."""
    return {"accuracy": share([a.text in e.right for e, a in zip(examples, answers, strict=True)])}


def mean_of(
    judge: Callable[[str, Sequence[str]], float], examples: Sequence[Example], answers: Sequence[Completion]
) -> TaskScore:
    """Return the mean of a metric over the answers."""
    return mean([judge(a.text, e.right) for e, a in zip(examples, answers, strict=True)])


class FileRow(BaseModel):
    """The fields that are read of a row; others are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A text that is not blank, without the spaces around it."""

R = TypeVar("R", bound=BaseModel)
_MAX_QUOTED = 120  # characters


def text_of(path: Path) -> str:
    """Read a file as UTF-8. Raises: PathError when it is missing; SchemaError when it is not UTF-8."""
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
    """Read JSON lines, each with its place for messages. Raises: as `text_of`; SchemaError that names the line."""
    for number, line in enumerate(text_of(path).removesuffix("\n").split("\n"), 1):
        where = f"{path}, line {number}"
        yield where, _checked(kind, line, where)


def read_table(path: Path, kind: type[R], delimiter: str = ",", is_quoted: bool = True) -> Iterator[tuple[str, R]]:
    """Read a table with a header, each row with its place. Raises: as `text_of`; SchemaError that names the line."""
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
    """Return the path of an image in a folder. Raises: PathError when it is missing; SchemaError when it is outside."""
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
    """Quote a value of a file for a message, truncated if it is long."""
    text = repr(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


def _checked(kind: type[R], text: str, where: str) -> R:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, first["loc"]))
        raise SchemaError(f"{where}: {at + ': ' if at else ''}{first['msg'][:300]}") from error
