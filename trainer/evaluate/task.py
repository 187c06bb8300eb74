"""A task: where its examples come from, how they are answered, how the answers are judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, Self

from trainer.evaluate.example import Answer, Example

How = Literal["say", "rank", "spell"]


@dataclass(frozen=True)
class Score:
    """A figure on the paper's scale, where all right is 100, with the 95 % interval of a share."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Manner:
    """How examples are answered."""

    how: How
    """say: what the model says is the answer; rank: the option of the highest log-probability; spell: what it says,
    held to the options token by token, which costs the same for any number of them."""
    max_tokens: int = 16
    """That are said at most, where there are no options."""
    num_beams: int = 1


SAY, RANK, SPELL = Manner("say"), Manner("rank"), Manner("spell")


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
    score: Callable[[Sequence[Example], Sequence[Answer]], dict[str, Score]]
    """Judge the answers: a figure for each metric, the one that the paper tells first."""
    manner: Manner
    read_shots: Callable[[Path, Path], list[Example]] | None = None
    """Read what shots are drawn from, as `read`; an example is never its own shot. None: the task shows none."""
    folder: str = ""
    """Of its files, which another task reads too."""

    def reading_once(self) -> Self:
        """Return the same task, which reads a folder's files once, however often they are asked for."""
        return replace(self, read=cache(self.read), read_shots=self.read_shots and cache(self.read_shots))
