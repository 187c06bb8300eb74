"""Run a task: prompts, answers and scores; resumable, in batches, divided over processes."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.errors import PathError, RecipeError, SchemaError
from schemas.tables import digest, fraction
from trainer.evaluate.model import EncodedPrompt, ModelAdapter, Reader, encode_prompt
from trainer.evaluate.task import AnswerMode, Completion, Example, Task, TaskScore, plain
from trainer.generate.engine import PLACEHOLDER


class Shots:
    """Draws from a pool; the same seed gives an example the same shots, whatever else is asked."""

    def __init__(self, pool: Sequence[Example], number: int, seed: int) -> None:
        self._pool, self._number, self._seed = pool, number, seed
        self._ids = frozenset(shot.id for shot in pool)

    def of(self, example: Example) -> list[Example]:
        """Return the shots of an example, none of them itself, none twice; fewer where the pool holds fewer."""
        found: dict[str, Example] = {}
        most, draw = min(self._number, len(self._ids - {example.id})), 0
        while len(found) < most:
            shot = self._pool[int(fraction(self._seed, "shot", example.id, str(draw)) * len(self._pool))]
            draw += 1
            if shot.id != example.id:
                found.setdefault(shot.id, shot)
        return list(found.values())


def shown(shots: Sequence[Example], example: Example) -> Example:
    """Return the example with its shots in front: each in a line, with the first of its right answers."""
    lines = [f"{shot.words} {plain(shot.right[0])}" for shot in shots]
    images = tuple(image for shot in shots for image in shot.images)
    return replace(example, words="\n".join([*lines, example.words]), images=(*images, *example.images))


ASK = "Introduce this picture in detail:"
INTRODUCING = AnswerMode("say", max_tokens=64)


def introduce(example: Example) -> Example:
    """Return what is asked first. Raises: RecipeError when the example is not about one picture."""
    if len(example.images) != 1 or example.candidates or PLACEHOLDER not in example.words:
        raise RecipeError("--rationale is for tasks that ask about one picture each")
    return Example(example.id, f"{PLACEHOLDER} {ASK}", example.images, example.right)


def reason(example: Example, said: Completion) -> Example:
    """Return the example with what the model said of its picture between the picture and the question."""
    before, _, behind = example.words.partition(PLACEHOLDER)
    return replace(example, words=f"{before}{PLACEHOLDER} {ASK} {plain(said.text)}\n{behind.lstrip()}")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make a folder, or write into it. Raises: PathError when that cannot be done."""
    try:
        yield
    except OSError as error:
        raise PathError(f"cannot write to {folder}: {error.strerror}; choose another --output") from error


class ResponseCache:
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

    def known(self) -> dict[str, Completion]:
        """Read what all processes have answered so far."""
        found = {}
        for path in sorted(self._folder.glob(f"{self._name}-*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    told = json.loads(line)  # of -Infinity too: an option that a model cannot say
                    found[str(told["key"])] = Completion(str(told["text"]), tuple(map(float, told["log_p"])))
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue
        return found

    def add(self, answered: Iterable[tuple[str, str, Completion]]) -> None:
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
    scores: dict[str, TaskScore]


@dataclass(frozen=True)
class Party:
    """The processes that share the work: this one's number, how many, and what all of them do together."""

    rank: int = 0
    world: int = 1
    wait: Callable[[], None] = lambda: None
    gather: Callable[[list[Any]], list[Any]] = lambda part: part
    """Lay the parts of all processes end to end."""
    together: Callable[[Callable[[], Any]], Any] = lambda work: work()
    """Do something in all processes; where it fails in one, it fails in all (trainer/distributed.py)."""


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
    task: Task, data: Path, output: Path, settings: Settings, answerer: ModelAdapter, identity: str, reader: Reader,
    party: Party = Party(),
) -> Result:  # fmt: skip
    """Ask, keep the answers in `output/NAME`, and judge them. Answers that are there already are not asked for again.

    `identity` names the one who answers: another's answers do not count.

    Raises: as `examples` and `ask`; RecipeError when a task shows no shots and some are wanted.
    """
    asked_of: list[Example] = party.together(lambda: examples(task, data, output, settings))
    asking = TaskRun(output / task.name, answerer, identity, reader, settings.batch, party)
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
class TaskRun:
    """One who answers, and where the answers are kept."""

    folder: Path
    answerer: ModelAdapter
    identity: str
    reader: Reader
    batch: int
    party: Party

    def answers(self, manner: AnswerMode, name: str, asked_of: Sequence[Example]) -> list[Completion]:
        """Return an answer to each example, those known already included. All processes return the same."""
        asked: list[EncodedPrompt] = self.party.together(
            lambda: [encode_prompt(self.reader, example, manner.max_tokens) for example in asked_of]
        )
        keys = [self._key(manner, one) for one in asked]
        with self.party.together(lambda: ResponseCache(self.folder, name, self.party.rank)) as kept:
            known = kept.known()
            self.party.wait()
            todo = [place for place, key in enumerate(keys) if key not in known]
            todo.sort(key=lambda place: -asked[place].num_tokens)  # the longest first: what is too large shows at once
            self.party.together(lambda: self._answer(manner, name, asked, keys, todo, kept))
            known = kept.known()
            self.party.wait()
        return [known[key] for key in keys]

    def _answer(
        self,
        manner: AnswerMode,
        name: str,
        asked: list[EncodedPrompt],
        keys: list[str],
        todo: list[int],
        kept: ResponseCache,
    ) -> None:
        """Answer this process's batches of what is left to answer, and keep the answers."""
        batches = [todo[first : first + self.batch] for first in range(0, len(todo), self.batch)]
        with _progress(self.party.rank == 0) as bar:
            shown_task = bar.add_task(f"{self.folder.name}, {name}", total=len(asked), completed=len(asked) - len(todo))
            for batch in batches[self.party.rank :: self.party.world]:
                answered = self.answerer.answer(manner, [asked[place] for place in batch])
                kept.add((keys[p], asked[p].example.id, a) for p, a in zip(batch, answered, strict=True))
                bar.advance(shown_task, len(batch) * self.party.world)

    def _key(self, manner: AnswerMode, asked: EncodedPrompt) -> str:
        return digest(self.identity, manner.how, str(manner.max_tokens), str(manner.num_beams), asked.digest())


def _progress(is_shown: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not (is_shown and console.is_terminal))
