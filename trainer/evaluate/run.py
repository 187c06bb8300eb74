"""Run a task: prompts, answers and scores, in batches divided over processes. A run can be resumed."""

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
    """Samples few-shot examples; the same seed gives an example the same shots, in any selection of examples."""

    def __init__(self, pool: Sequence[Example], number: int, seed: int) -> None:
        self._pool, self._number, self._seed = pool, number, seed
        self._ids = frozenset(shot.id for shot in pool)

    def of(self, example: Example) -> list[Example]:
        """Return the shots of an example: distinct, without itself, and fewer if the pool is smaller."""
        found: dict[str, Example] = {}
        most, draw = min(self._number, len(self._ids - {example.id})), 0
        while len(found) < most:
            shot = self._pool[int(fraction(self._seed, "shot", example.id, str(draw)) * len(self._pool))]
            draw += 1
            if shot.id != example.id:
                found.setdefault(shot.id, shot)
        return list(found.values())


def shown(shots: Sequence[Example], example: Example) -> Example:
    """Return the example after its shots: each in a line, with the first of its right answers."""
    lines = [f"{shot.words} {plain(shot.right[0])}" for shot in shots]
    images = tuple(image for shot in shots for image in shot.images)
    return replace(example, words="\n".join([*lines, example.words]), images=(*images, *example.images))


ASK = "Introduce this picture in detail:"
INTRODUCING = AnswerMode("say", max_tokens=64)


def introduce(example: Example) -> Example:
    """Return the first prompt of a rationale. Raises: RecipeError unless the example has one image."""
    if len(example.images) != 1 or example.candidates or PLACEHOLDER not in example.words:
        raise RecipeError("--rationale is for tasks that ask about one picture each")
    return Example(example.id, f"{PLACEHOLDER} {ASK}", example.images, example.right)


def with_rationale(example: Example, rationale: Completion) -> Example:
    """Return the example with the model's description of its image between image and question."""
    before, _, after = example.words.partition(PLACEHOLDER)
    return replace(example, words=f"{before}{PLACEHOLDER} {ASK} {plain(rationale.text)}\n{after.lstrip()}")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Translate errors of writing a folder. Raises: PathError."""
    try:
        yield
    except OSError as error:
        raise PathError(f"cannot write to {folder}: {error.strerror}; choose another --output") from error


class ResponseCache:
    """The stored answers of one task, by a key of the prompt and the model."""

    def __init__(self, folder: Path, name: str, rank: int) -> None:
        """Open the cache. Raises: PathError when the folder cannot be written."""
        self._folder, self._name = folder, name
        path = folder / f"{name}-{rank}.jsonl"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
            if self._file.tell() and (self._file.seek(-1, 2), self._file.read(1))[1] != b"\n":
                self._file.write(b"\n")  # after an incomplete line

    def known(self) -> dict[str, Completion]:
        """Read the answers of all processes so far."""
        found = {}
        for path in sorted(self._folder.glob(f"{self._name}-*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    stored = json.loads(line)  # accepts -Infinity, of an impossible option
                    found[str(stored["key"])] = Completion(str(stored["text"]), tuple(map(float, stored["log_p"])))
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue
        return found

    def add(self, answered: Iterable[tuple[str, str, Completion]]) -> None:
        """Store answers, each with its key, and the example's id for reference."""
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
    """The settings of a task run."""

    shots: int = 0
    rationale: bool = False
    seed: int = 0
    """Seed of the shots, and of the choice of `limit` examples."""
    limit: int | None = None
    batch: int = 32
    """Examples of a batch; no answer depends on it."""


@dataclass(frozen=True)
class Result:
    """The result of a task."""

    task: str
    shots: int
    rationale: bool
    num_examples: int
    scores: dict[str, TaskScore]


@dataclass(frozen=True)
class Party:
    """The processes that share the work, and their collective operations."""

    rank: int = 0
    world: int = 1
    wait: Callable[[], None] = lambda: None
    gather: Callable[[list[Any]], list[Any]] = lambda part: part
    """Concatenate the parts of all processes."""
    together: Callable[[Callable[[], Any]], Any] = lambda work: work()
    """Call a function in all processes; if it fails in one, it fails in all (trainer/distributed.py)."""


def examples(task: Task, data: Path, output: Path, settings: Settings) -> list[Example]:
    """Read a task's examples from `data/NAME` or from `data` itself, and choose `limit` of them.

    Raises: PathError or SchemaError as the task does; SchemaError when there is no example.
    """
    found = task.read(folder_of(task, data), output / task.name)
    if not found:
        raise SchemaError(f"{folder_of(task, data)} holds nothing that {task.name} asks")
    if settings.limit is None or settings.limit >= len(found):
        return found
    chosen = sorted(range(len(found)), key=lambda i: fraction(settings.seed, "limit", found[i].id))[: settings.limit]
    return [found[i] for i in sorted(chosen)]


def folder_of(task: Task, data: Path) -> Path:
    """Return the folder of a task's files: the subfolder of its name if it exists, else `data`."""
    folder = data / (task.folder or task.name)
    return folder if folder.is_dir() else data


def evaluate(
    task: Task, data: Path, output: Path, settings: Settings, adapter: ModelAdapter, identity: str, reader: Reader,
    party: Party = Party(),
) -> Result:  # fmt: skip
    """Answer a task's examples, store the answers in `output/NAME`, and score them. Stored answers are reused.

    `identity` identifies the model: answers of another model are not reused.

    Raises: as `examples`, `encode_prompt` and the adapter; RecipeError when a task without shots is to show some.
    """
    chosen: list[Example] = party.together(lambda: examples(task, data, output, settings))
    task_run = TaskRun(output / task.name, adapter, identity, reader, settings.batch, party)
    if settings.rationale:
        rationales = task_run.answers(INTRODUCING, "rationale", [introduce(example) for example in chosen])
        chosen = [with_rationale(*both) for both in zip(chosen, rationales, strict=True)]
    with_shots: list[Example] = party.together(lambda: show_shots(task, data, output, settings, chosen))
    answers = task_run.answers(task.mode, f"{settings.shots}-shot", with_shots)
    scores = task.score(chosen, answers)
    return Result(task.name, settings.shots, settings.rationale, len(chosen), scores)


def show_shots(task: Task, data: Path, output: Path, settings: Settings, chosen: Sequence[Example]) -> list[Example]:
    """Prepend the shots of each example. Raises: RecipeError when the task has none; as reading them."""
    if not settings.shots:
        return list(chosen)
    if task.read_shots is None:
        raise RecipeError(f"{task.name} shows no examples; ask it with --shots 0")
    shots = Shots(task.read_shots(folder_of(task, data), output / task.name), settings.shots, settings.seed)
    return [shown(shots.of(example), example) for example in chosen]


@dataclass(frozen=True)
class TaskRun:
    """A model adapter, and the folder of its answers."""

    folder: Path
    adapter: ModelAdapter
    identity: str
    reader: Reader
    batch: int
    party: Party

    def answers(self, mode: AnswerMode, name: str, chosen: Sequence[Example]) -> list[Completion]:
        """Return an answer to each example, stored or new. All processes return the same."""
        encoded: list[EncodedPrompt] = self.party.together(
            lambda: [encode_prompt(self.reader, example, mode.max_tokens) for example in chosen]
        )
        keys = [self._key(mode, one) for one in encoded]
        with self.party.together(lambda: ResponseCache(self.folder, name, self.party.rank)) as cache:
            known = cache.known()
            self.party.wait()
            todo = [i for i, key in enumerate(keys) if key not in known]
            todo.sort(key=lambda i: -encoded[i].num_tokens)  # longest first, so that a lack of memory shows at once
            self.party.together(lambda: self._answer(mode, name, encoded, keys, todo, cache))
            known = cache.known()
            self.party.wait()
        return [known[key] for key in keys]

    def _answer(
        self,
        mode: AnswerMode,
        name: str,
        encoded: list[EncodedPrompt],
        keys: list[str],
        todo: list[int],
        cache: ResponseCache,
    ) -> None:
        """Answer this process's batches, and store the answers."""
        batches = [todo[first : first + self.batch] for first in range(0, len(todo), self.batch)]
        with _progress(self.party.rank == 0) as bar:
            shown_task = bar.add_task(
                f"{self.folder.name}, {name}", total=len(encoded), completed=len(encoded) - len(todo)
            )
            for batch in batches[self.party.rank :: self.party.world]:
                answers = self.adapter.answer(mode, [encoded[i] for i in batch])
                cache.add((keys[i], encoded[i].example.id, answer) for i, answer in zip(batch, answers, strict=True))
                bar.advance(shown_task, len(batch) * self.party.world)

    def _key(self, mode: AnswerMode, encoded: EncodedPrompt) -> str:
        return digest(self.identity, mode.how, str(mode.max_tokens), str(mode.num_beams), encoded.digest())


def _progress(is_shown: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not (is_shown and console.is_terminal))
