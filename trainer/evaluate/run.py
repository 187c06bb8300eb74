"""Ask a model what a task asks, and judge its answers: resumable, in batches, shared out over processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.errors import RecipeError, SchemaError
from schemas.ids import digest, fraction
from trainer.evaluate.answering import Answerer
from trainer.evaluate.answers import Answers
from trainer.evaluate.asked import Asked, Reader, ask
from trainer.evaluate.example import Answer, Example
from trainer.evaluate.rationale import INTRODUCING, introduce, reason
from trainer.evaluate.shots import Shots, shown
from trainer.evaluate.task import Manner, Score, Task


@dataclass(frozen=True)
class Settings:
    """How a task is asked."""

    shots: int = 0
    rationale: bool = False
    seed: int = 0
    """Of the shots, and of the choice of `limit` examples."""
    limit: int | None = None
    batch: int = 32
    """Examples that are answered at a time; no answer depends on it."""


@dataclass(frozen=True)
class Result:
    """What a task came to."""

    task: str
    shots: int
    rationale: bool
    num_examples: int
    scores: dict[str, Score]


@dataclass(frozen=True)
class Party:
    """The processes that share the work: this one's number, how many, and what all of them do together."""

    rank: int = 0
    world: int = 1
    wait: Callable[[], None] = lambda: None
    gather: Callable[[list[Any]], list[Any]] = lambda part: part
    """Lay the parts of all processes end to end."""
    together: Callable[[Callable[[], Any]], Any] = lambda work: work()
    """Do something in all processes; where it fails in one, it fails in all (trainer/run/processes.py)."""


def examples(task: Task, data: Path, output: Path, settings: Settings) -> list[Example]:
    """Read what a task asks, of `data/NAME` or of `data` itself, and choose `limit` of it.

    Raises: PathError or SchemaError as the task does; SchemaError when there is nothing.
    """
    found = task.read(folder_of(task, data), output / task.name)
    if not found:
        raise SchemaError(f"{folder_of(task, data)} holds nothing that {task.name} asks")
    if settings.limit is None or settings.limit >= len(found):
        return found
    chosen = sorted(range(len(found)), key=lambda i: fraction(settings.seed, "limit", found[i].id))[: settings.limit]
    return [found[i] for i in sorted(chosen)]


def folder_of(task: Task, data: Path) -> Path:
    """Return the folder of a task's files: the one of its name, where there is one."""
    folder = data / (task.folder or task.name)
    return folder if folder.is_dir() else data


def evaluate(
    task: Task, data: Path, output: Path, settings: Settings, answerer: Answerer, identity: str, reader: Reader,
    party: Party = Party(),
) -> Result:  # fmt: skip
    """Ask, keep the answers in `output/NAME`, and judge them. Answers that are there already are not asked for again.

    `identity` names the one who answers: another's answers do not count.

    Raises: as `examples` and `ask`; RecipeError when a task shows no shots and some are wanted.
    """
    asked_of: list[Example] = party.together(lambda: examples(task, data, output, settings))
    asking = Asking(output / task.name, answerer, identity, reader, settings.batch, party)
    if settings.rationale:
        said = asking.answers(INTRODUCING, "rationale", [introduce(example) for example in asked_of])
        asked_of = [reason(example, answer) for example, answer in zip(asked_of, said, strict=True)]
    with_shots: list[Example] = party.together(lambda: show_shots(task, data, output, settings, asked_of))
    answers = asking.answers(task.manner, f"{settings.shots}-shot", with_shots)
    scores = task.score(asked_of, answers)
    return Result(task.name, settings.shots, settings.rationale, len(asked_of), scores)


def show_shots(task: Task, data: Path, output: Path, settings: Settings, asked_of: Sequence[Example]) -> list[Example]:
    """Put each example's shots in front of it. Raises: RecipeError when the task shows none; what reading raises."""
    if not settings.shots:
        return list(asked_of)
    if task.read_shots is None:
        raise RecipeError(f"{task.name} shows no examples; ask it with --shots 0")
    shots = Shots(task.read_shots(folder_of(task, data), output / task.name), settings.shots, settings.seed)
    return [shown(shots.of(example), example) for example in asked_of]


@dataclass(frozen=True)
class Asking:
    """One who answers, and where the answers are kept."""

    folder: Path
    answerer: Answerer
    identity: str
    reader: Reader
    batch: int
    party: Party

    def answers(self, manner: Manner, name: str, asked_of: Sequence[Example]) -> list[Answer]:
        """Return an answer to each example, those known already included. All processes return the same."""
        asked: list[Asked] = self.party.together(
            lambda: [ask(self.reader, example, manner.max_tokens) for example in asked_of]
        )
        keys = [self._key(manner, one) for one in asked]
        with self.party.together(lambda: Answers(self.folder, name, self.party.rank)) as kept:
            known = kept.known()
            self.party.wait()
            todo = [place for place, key in enumerate(keys) if key not in known]
            todo.sort(key=lambda place: -asked[place].num_tokens)  # the longest first: what is too large shows at once
            self.party.together(lambda: self._answer(manner, name, asked, keys, todo, kept))
            known = kept.known()
            self.party.wait()
        return [known[key] for key in keys]

    def _answer(
        self, manner: Manner, name: str, asked: list[Asked], keys: list[str], todo: list[int], kept: Answers
    ) -> None:
        """Answer this process's batches of what is left to answer, and keep the answers."""
        batches = [todo[first : first + self.batch] for first in range(0, len(todo), self.batch)]
        with _progress(self.party.rank == 0) as bar:
            shown_task = bar.add_task(f"{self.folder.name}, {name}", total=len(asked), completed=len(asked) - len(todo))
            for batch in batches[self.party.rank :: self.party.world]:
                answered = self.answerer.answer(manner, [asked[place] for place in batch])
                kept.add((keys[p], asked[p].example.id, a) for p, a in zip(batch, answered, strict=True))
                bar.advance(shown_task, len(batch) * self.party.world)

    def _key(self, manner: Manner, asked: Asked) -> str:
        return digest(self.identity, manner.how, str(manner.max_tokens), str(manner.num_beams), asked.digest())


def _progress(is_shown: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not (is_shown and console.is_terminal))
