"""A task: its examples, how they are answered, and how the answers are scored."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
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
    """Examples that reveal each other's answer share one."""
    prompt: str
    """With `<image>` for each image and `<context>` for the context."""
    images: tuple[Path, ...]
    correct: tuple[str, ...]
    """Correct answers, at least one. A shot shows the first."""
    options: tuple[str, ...] = ()
    """Possible answers; empty: free text."""
    candidates: tuple[Path, ...] = ()
    """Alternatives for the last image. The answer is the index of the one after which `options[0]` is most likely."""
    context: str = ""
    """Text that is truncated if the prompt is too long for the model."""


@dataclass(frozen=True)
class Completion:
    """A model's answer to an example."""

    text: str
    """The generated text, the most likely option, or the index of the candidate."""
    log_p: tuple[float, ...] = ()
    """The log-probability of each option or candidate."""


def escape(text: str) -> str:
    """Escape placeholders in a text from a benchmark's files, and strip it."""
    for placeholder in (PLACEHOLDER, CONTEXT):
        text = text.replace(placeholder, placeholder.replace("<", "< "))
    return text.strip()


class AnswerMethod(StrEnum):
    """How an answer is found. The values are part of the keys of stored answers."""

    GENERATE = "say"
    MULTIPLE_CHOICE = "rank"
    """The option with the highest log-probability."""
    CONSTRAINED = "spell"
    """Constrained decoding: one of the options, at a cost that does not depend on their number."""


@dataclass(frozen=True)
class TaskScore:
    """A score on the paper's scale, where 100 is best, with its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AnswerMode:
    """How examples are answered."""

    method: AnswerMethod
    max_tokens: int = 16
    """Maximum tokens of an answer without options."""
    num_beams: int = 1


GENERATE = AnswerMode(AnswerMethod.GENERATE)
MULTIPLE_CHOICE = AnswerMode(AnswerMethod.MULTIPLE_CHOICE)
CONSTRAINED = AnswerMode(AnswerMethod.CONSTRAINED)


@dataclass(frozen=True)
class Task:
    """One benchmark."""

    name: str
    """Also the name of the folder of its files, unless `folder` names another."""
    about: str
    """One line: the task and its files."""
    read: Callable[[Path, Path], list[Example]]
    """Read examples from a folder; the second folder is for generated images. Raises: PathError when a file or an image
    is missing, SchemaError that names file and row when one is malformed."""
    score: Callable[[Sequence[Example], Sequence[Completion]], dict[str, TaskScore]]
    """Score the answers: a score for each metric, the paper's first."""
    mode: AnswerMode
    read_shots: Callable[[Path, Path], list[Example]] | None = None
    """Read the pool of shots, as `read`; an example is never its own shot. None: the task has no shots."""
    folder: str = ""
    """The folder of its files, if it shares them with another task."""

    def with_cached_reads(self) -> Self:
        """Return the task with its files read only once."""
        return replace(self, read=cache(self.read), read_shots=self.read_shots and cache(self.read_shots))


def fraction_correct(correct: Sequence[bool]) -> TaskScore:
    """Return the fraction of correct answers, with Wilson's interval."""
    found = accuracy(correct)
    return TaskScore(100 * found.value, 100 * found.low, 100 * found.high)


def mean(scores: Sequence[float]) -> TaskScore:
    """Return the mean of scores from 0 to 1, with an interval from its standard error."""
    centre = fmean(scores)
    margin = Z_95 * stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else 0.0
    return TaskScore(100 * centre, 100 * max(0.0, centre - margin), 100 * min(1.0, centre + margin))


def exact_accuracy(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Return the accuracy: an answer is correct when it equals one of the correct ones."""
    return {"accuracy": fraction_correct([a.text in e.correct for e, a in zip(examples, answers, strict=True)])}


def mean_of(
    metric: Callable[[str, Sequence[str]], float], examples: Sequence[Example], answers: Sequence[Completion]
) -> TaskScore:
    """Return the mean of a metric over the answers."""
    return mean([metric(a.text, e.correct) for e, a in zip(examples, answers, strict=True)])


class FileRow(BaseModel):
    """The fields of a row that are read; others are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


NonBlank = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A text that is not blank, stripped."""

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
    """Read a file that is one JSON value. Raises: as `text_of`; SchemaError that names the place in the file."""
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
                raise SchemaError(f"{where}: {len(rows.fieldnames or [])} columns are expected, as in the header")
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
