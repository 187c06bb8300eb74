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
from trainer.evaluate.task import AnswerMethod, AnswerMode, Completion, Example, Task, TaskScore, escape
from trainer.generate.engine import PLACEHOLDER


class Shots:
    """Samples few-shot examples. The shots of an example depend on the seed and its id, not on the other examples."""

    def __init__(self, pool: Sequence[Example], number: int, seed: int) -> None:
        self._pool, self._number, self._seed = pool, number, seed
        self._ids = frozenset(shot.id for shot in pool)

    def of(self, example: Example) -> list[Example]:
        """Return the shots of an example: distinct, without itself, and fewer if the pool is smaller."""
        found: dict[str, Example] = {}
        number, draw = min(self._number, len(self._ids - {example.id})), 0
        while len(found) < number:
            shot = self._pool[int(fraction(self._seed, "shot", example.id, str(draw)) * len(self._pool))]
            draw += 1
            if shot.id != example.id:
                found.setdefault(shot.id, shot)
        return list(found.values())


def prepend_shots(shots: Sequence[Example], example: Example) -> Example:
    """Return the example after its shots: each on a line, with its first correct answer."""
    lines = [f"{shot.prompt} {escape(shot.correct[0])}" for shot in shots]
    images = tuple(image for shot in shots for image in shot.images)
    return replace(example, prompt="\n".join([*lines, example.prompt]), images=(*images, *example.images))


RATIONALE_PROMPT = "Introduce this picture in detail:"
RATIONALE_MODE = AnswerMode(AnswerMethod.GENERATE, max_tokens=64)


def rationale_example(example: Example) -> Example:
    """Return the prompt for a rationale. Raises: RecipeError unless the example has exactly one image."""
    if len(example.images) != 1 or example.candidates or PLACEHOLDER not in example.prompt:
        raise RecipeError("--rationale is only for tasks with one image for each example")
    return Example(example.id, f"{PLACEHOLDER} {RATIONALE_PROMPT}", example.images, example.correct)


def with_rationale(example: Example, rationale: Completion) -> Example:
    """Return the example with the model's description of its image between image and question."""
    before, _, after = example.prompt.partition(PLACEHOLDER)
    described = f"{PLACEHOLDER} {RATIONALE_PROMPT} {escape(rationale.text)}"
    return replace(example, prompt=f"{before}{described}\n{after.lstrip()}")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise PathError when a folder cannot be written."""
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

    def add(self, answers: Iterable[tuple[str, str, Completion]]) -> None:
        """Store answers, each with its key and, for reference, the id of the example."""
        for key, id, answer in answers:
            line = {"key": key, "id": id, "text": answer.text, "log_p": answer.log_p}
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
    """Examples in a batch; no answer depends on it."""


@dataclass(frozen=True)
class Result:
    """The result of a task."""

    task: str
    shots: int
    rationale: bool
    num_examples: int
    scores: dict[str, TaskScore]


@dataclass(frozen=True)
class Workgroup:
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
        raise SchemaError(f"{folder_of(task, data)} holds no examples of {task.name}")
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
    group: Workgroup = Workgroup(),
) -> Result:  # fmt: skip
    """Answer a task's examples, store the answers in `output/NAME`, and score them. Stored answers are reused.

    `identity` identifies the model: answers of other models are not reused.

    Raises: as `examples`, `encode_prompt`, `add_shots` and the adapter.
    """
    chosen: list[Example] = group.together(lambda: examples(task, data, output, settings))
    task_run = TaskRun(output / task.name, adapter, identity, reader, settings.batch, group)
    if settings.rationale:
        prompts = [rationale_example(example) for example in chosen]
        rationales = task_run.answers(RATIONALE_MODE, "rationale", prompts)
        chosen = [with_rationale(*both) for both in zip(chosen, rationales, strict=True)]
    with_shots: list[Example] = group.together(lambda: add_shots(task, data, output, settings, chosen))
    answers = task_run.answers(task.mode, f"{settings.shots}-shot", with_shots)
    scores = task.score(chosen, answers)
    return Result(task.name, settings.shots, settings.rationale, len(chosen), scores)


def add_shots(task: Task, data: Path, output: Path, settings: Settings, chosen: Sequence[Example]) -> list[Example]:
    """Prepend its shots to each example. Raises: RecipeError when the task has none; as `Task.read_shots`."""
    if not settings.shots:
        return list(chosen)
    if task.read_shots is None:
        raise RecipeError(f"{task.name} has no few-shot examples; use --shots 0")
    shots = Shots(task.read_shots(folder_of(task, data), output / task.name), settings.shots, settings.seed)
    return [prepend_shots(shots.of(example), example) for example in chosen]


@dataclass(frozen=True)
class TaskRun:
    """A model adapter, and the folder of its answers."""

    folder: Path
    adapter: ModelAdapter
    identity: str
    reader: Reader
    batch: int
    group: Workgroup

    def answers(self, mode: AnswerMode, name: str, chosen: Sequence[Example]) -> list[Completion]:
        """Return an answer to each example, stored or new. All processes return the same."""
        encoded: list[EncodedPrompt] = self.group.together(
            lambda: [encode_prompt(self.reader, example, mode.max_tokens) for example in chosen]
        )
        keys = [self._key(mode, one) for one in encoded]
        with self.group.together(lambda: ResponseCache(self.folder, name, self.group.rank)) as cache:
            known = cache.known()
            self.group.wait()
            todo = [i for i, key in enumerate(keys) if key not in known]
            todo.sort(key=lambda i: -encoded[i].num_tokens)  # longest first, so that a lack of memory shows early
            self.group.together(lambda: self._answer(mode, name, encoded, keys, todo, cache))
            known = cache.known()
            self.group.wait()
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
        with _progress(self.group.rank == 0) as bar:
            progress = bar.add_task(
                f"{self.folder.name}, {name}", total=len(encoded), completed=len(encoded) - len(todo)
            )
            for batch in batches[self.group.rank :: self.group.world]:
                answers = self.adapter.answer(mode, [encoded[i] for i in batch])
                cache.add((keys[i], encoded[i].example.id, answer) for i, answer in zip(batch, answers, strict=True))
                bar.advance(progress, len(batch) * self.group.world)

    def _key(self, mode: AnswerMode, encoded: EncodedPrompt) -> str:
        return digest(self.identity, mode.method, str(mode.max_tokens), str(mode.num_beams), encoded.digest())


def _progress(is_shown: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not (is_shown and console.is_terminal))
