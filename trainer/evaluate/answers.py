"""Answers kept as JSON lines while they are given, so that an evaluation that was stopped goes on where it stood.

Every process has a file of its own; all of them are read. A line that was cut when its process was killed is passed
over, and what it answered is asked again.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from schemas.errors import PathError
from trainer.evaluate.example import Answer


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make a folder, or write into it. Raises: PathError when that cannot be done."""
    try:
        yield
    except OSError as error:
        raise PathError(f"cannot write to {folder}: {error.strerror}; choose another --output") from error


class Answers:
    """The answers of one task in a folder, by the key of what was asked (and of whom)."""

    def __init__(self, folder: Path, name: str, rank: int) -> None:
        """Open them. Raises: PathError when the folder cannot be written."""
        self._folder, self._name = folder, name
        path = folder / f"{name}-{rank}.jsonl"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
            if self._file.tell() and (self._file.seek(-1, 2), self._file.read(1))[1] != b"\n":
                self._file.write(b"\n")  # behind a line that was cut

    def known(self) -> dict[str, Answer]:
        """Read what all processes have answered so far."""
        found = {}
        for path in sorted(self._folder.glob(f"{self._name}-*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    told = json.loads(line)  # of -Infinity too: an option that a model cannot say
                    found[str(told["key"])] = Answer(str(told["text"]), tuple(map(float, told["log_p"])))
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue
        return found

    def add(self, answered: Iterable[tuple[str, str, Answer]]) -> None:
        """Keep answers, each with its key and the example's id, which is for people."""
        for key, name, answer in answered:
            line = {"key": key, "id": name, "text": answer.text, "log_p": answer.log_p}
            self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
