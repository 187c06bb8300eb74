"""An evaluation as a person asks for it: one model, some tasks, some numbers of shots, and a table at the end."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist

from schemas.display import printable
from schemas.errors import RecipeError
from schemas.ids import digest
from schemas.overrides import nearest
from schemas.signals import resuming
from trainer import saved as models
from trainer.evaluate import results
from trainer.evaluate.answering import Model
from trainer.evaluate.answers import writing
from trainer.evaluate.asked import Reader, ask, show
from trainer.evaluate.harness import PREFIX, evaluate_language, find
from trainer.evaluate.run import Party, Settings, evaluate, examples, show_shots
from trainer.evaluate.task import Task
from trainer.evaluate.tasks import TASKS
from trainer.run.launch import launch
from trainer.run.processes import join

FOLDER = "evaluation"  # beside the checkpoint


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    checkpoint: str
    tasks: tuple[str, ...]
    data: Path
    shots: tuple[int, ...] = (0,)
    rationale: bool = False
    output: Path | None = None
    tokenizer: str | None = None
    batch: int = 32
    limit: int | None = None
    seed: int = 0
    show_prompts: int | None = None

    def settings(self, shots: int) -> Settings:
        return Settings(shots, self.rationale, self.seed, self.limit, self.batch)


def numbers(told: str) -> tuple[int, ...]:
    """Read numbers of shots, as 0,2,4,8. Raises: RecipeError."""
    parts = [part.strip() for part in told.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise RecipeError(f"--shots takes numbers as 0,2,4,8, not {told!r}")
    return tuple(map(int, parts))


def tasks_told() -> str:
    """Say what tasks there are, a line for each."""
    told = {**{task.name: task.about for task in TASKS.values()}, f"{PREFIX}NAME": "a task of lm-evaluation-harness"}
    width = max(map(len, told))
    return "\n".join(f"  {name:{width}}  {about}" for name, about in told.items())


def run(request: Request) -> None:
    """Evaluate, print the table and keep it; or print prompts. Under torchrun all processes share the work.

    Raises: RecipeError when a task is unknown, or a prompt too long for the model; PathError, SchemaError and
        IntegrityError, each naming the file and the row, when data or the checkpoint are missing or malformed. Of
        several processes the first raises these, the others ReportedError.
    """
    with resuming(), join() as processes:
        chosen, of_language, harness, folder = processes.together(lambda: check(request))
        output = request.output or folder / FOLDER
        saved = processes.together(lambda: models.load(request.checkpoint, request.tokenizer))
        reader = Reader(saved.tokenizer, saved.config.vision.latents, saved.config.data.sequence_length)
        if request.show_prompts is not None:
            if processes.rank == 0:
                print(printable("\n\n".join(_prompts(request, chosen, output, reader)), lines=True))
            return
        processes.together(lambda: _make(output))  # before anything is asked
        identity = _identity(folder, saved.tokenizer.sha256)
        party = Party(processes.rank, processes.world, _wait, _gather, processes.together)
        found = [
            evaluate(task, request.data, output, request.settings(shots), Model(saved), identity, reader, party)
            for task in chosen
            for shots in request.shots
        ]
        for shots in request.shots if of_language else ():
            found += evaluate_language(saved, of_language, harness, request.settings(shots), party)
        if processes.rank == 0:
            results.keep(output, str(folder), identity, found)
            results.show(found)


def run_processes(request: Request, num_processes: int) -> int:
    """Do what `run` does in several processes of this machine; return the exit status.

    What a person may have got wrong in the command, and in the benchmarks' files, is found before any of them starts.
    Raises: as `run`.
    """
    chosen, _, _, folder = check(request)
    models.look(request.checkpoint).tokens(request.tokenizer)
    for task in chosen:
        examples(task, request.data, request.output or folder / FOLDER, request.settings(0))
    options = {
        "--checkpoint": request.checkpoint, "--data": request.data, "--output": request.output,
        "--tokenizer": request.tokenizer, "--batch": request.batch, "--limit": request.limit, "--seed": request.seed,
        "--shots": ",".join(map(str, request.shots)), "--show-prompts": request.show_prompts,
    }  # fmt: skip
    arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
    arguments += [f"--task={name}" for name in request.tasks] + ["--rationale"] * request.rationale
    with resuming():
        return launch("trainer.evaluate", arguments, num_processes)


def check(request: Request) -> tuple[list[Task], list[str], Any, Path]:
    """Return the tasks, those of the harness and the harness, and the folder of the weights. Raises: as `run`."""
    names = list(dict.fromkeys(request.tasks))
    chosen = [_task(name) for name in names if not name.startswith(PREFIX)]
    of_language = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    if of_language and (request.rationale or request.show_prompts is not None):
        raise RecipeError(f"--rationale and --show-prompts are not for {PREFIX} tasks, whose prompts the harness makes")
    harness = find(of_language, request.data) if of_language else None
    return chosen, of_language, harness, models.find(Path(request.checkpoint))


def _make(output: Path) -> None:
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)


def _prompts(request: Request, tasks: list[Task], output: Path, reader: Reader) -> Iterator[str]:
    for task in tasks:
        for shots in request.shots:
            settings = request.settings(shots)
            asked_of = examples(task, request.data, output, settings)[: request.show_prompts]
            for example in show_shots(task, request.data, output, settings, asked_of):
                asked = ask(reader, example, task.manner.max_tokens)
                yield from (f"{task.name} {example.id}: {show(reader, prompt)}" for prompt in asked.prompts)


def _task(name: str) -> Task:
    if name not in TASKS:
        raise RecipeError(f"no task named {name}{nearest(name, list(TASKS))}; there are: {', '.join(TASKS)}")
    return TASKS[name].reading_once()


def _wait() -> None:
    dist.barrier()


def _gather(part: list[Any]) -> list[Any]:
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, part)
    return [answer for of_process in parts for answer in of_process]


def _identity(folder: Path, tokenizer: str) -> str:
    """Name a model without reading all its weights: by their files' sizes and times, and its tokenizer."""
    files = sorted(folder.glob("*.safetensors"))
    return digest(tokenizer, *(repr((f.name, f.stat().st_size, f.stat().st_mtime_ns)) for f in files))
