"""A task: where its examples come from, how they are answered, and how the answers are scored."""

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
    """One thing that is asked."""

    id: str
    """Its name, for people. Two that give each other's answer away share one."""
    words: str
    """What is asked; `<image>` says where an image stands, `<context>` where the context does."""
    images: tuple[Path, ...]
    right: tuple[str, ...]
    """Answers that are right, at least one. The first is what a shot shows."""
    options: tuple[str, ...] = ()
    """What may be answered; none: whatever the model says."""
    candidates: tuple[Path, ...] = ()
    """Images that take turns as the last one. The one behind which `options[0]` is likeliest is the answer, by its
    number from 0."""
    context: str = ""
    """Text that is cut at its end where a model cannot read all of it."""


@dataclass(frozen=True)
class Completion:
    """What a model answers to an example."""

    text: str
    """What it said; of options the likeliest; of candidates the number."""
    log_p: tuple[float, ...] = ()
    """Of each option, or of each candidate."""


def plain(words: str) -> str:
    """Return words that others wrote as they may stand in a prompt: whoever spells `<image>` in them shows none."""
    for mark in (PLACEHOLDER, CONTEXT):
        words = words.replace(mark, mark.replace("<", "< "))
    return words.strip()


How = Literal["say", "rank", "spell"]


@dataclass(frozen=True)
class TaskScore:
    """A figure on the paper's scale, where all right is 100, with the 95 % interval of a share."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AnswerMode:
    """How examples are answered."""

    how: How
    """say: what the model says is the answer; rank: the option of the highest log-probability; spell: what it says,
    held to the options token by token, which costs the same for any number of them."""
    max_tokens: int = 16
    """That are said at most, where there are no options."""
    num_beams: int = 1


SAY, RANK, SPELL = AnswerMode("say"), AnswerMode("rank"), AnswerMode("spell")


@dataclass(frozen=True)
class Task:
    """One benchmark."""

    name: str
    """What it is called, and, where `folder` names no other, the folder that its files are looked for in."""
    about: str
    """One line: what is asked, and the files that are read."""
    read: Callable[[Path, Path], list[Example]]
    """Read what is asked from a folder; a second one takes up what is drawn for it. Raises: PathError when a file or
    an image is missing, SchemaError, naming file and row, when one is malformed."""
    score: Callable[[Sequence[Example], Sequence[Completion]], dict[str, TaskScore]]
    """Judge the answers: a figure for each metric, the one that the paper tells first."""
    manner: AnswerMode
    read_shots: Callable[[Path, Path], list[Example]] | None = None
    """Read what shots are drawn from, as `read`; an example is never its own shot. None: the task shows none."""
    folder: str = ""
    """Of its files, which another task reads too."""

    def reading_once(self) -> Self:
        """Return the same task, which reads a folder's files once, however often they are asked for."""
        return replace(self, read=cache(self.read), read_shots=self.read_shots and cache(self.read_shots))


def share(right: Sequence[bool]) -> TaskScore:
    """Return the share that is right, with Wilson's interval."""
    found = accuracy(right)
    return TaskScore(100 * found.value, 100 * found.low, 100 * found.high)


def mean(parts: Sequence[float]) -> TaskScore:
    """Return the mean of answers that are right in part, 0 to 1 each, with the interval by its standard error."""
    middle = fmean(parts)
    reach = Z_95 * stdev(parts) / math.sqrt(len(parts)) if len(parts) > 1 else 0.0
    return TaskScore(100 * middle, 100 * max(0.0, middle - reach), 100 * min(1.0, middle + reach))


def one_of_right(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Judge by accuracy: an answer is right when it is one of the right ones, letter by letter."""
    return {"accuracy": share([a.text in e.right for e, a in zip(examples, answers, strict=True)])}


def mean_of(
    judge: Callable[[str, Sequence[str]], float], examples: Sequence[Example], answers: Sequence[Completion]
) -> TaskScore:
    """Return the mean of what a metric gives to each answer, by the right ones."""
    return mean([judge(a.text, e.right) for e, a in zip(examples, answers, strict=True)])


class FileRow(BaseModel):
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
