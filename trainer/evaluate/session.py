"""An evaluation: one model, some tasks, some numbers of shots, and a table at the end."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch.distributed as dist
import yaml
from rich.console import Console
from rich.table import Table

from schemas.display import printable
from schemas.errors import IntegrityError, RecipeError
from schemas.overrides import nearest
from schemas.program import resuming
from schemas.tables import digest
from trainer import load as models
from trainer.distributed import init, launch
from trainer.evaluate.language import PREFIX, evaluate_language, find
from trainer.evaluate.model import KosmosAdapter, Reader, encode_prompt, show_prompt
from trainer.evaluate.run import Party, Result, Settings, evaluate, examples, show_shots, writing
from trainer.evaluate.task import Task, TaskScore
from trainer.evaluate.tasks import TASKS

FILE = "results.json"
_PAPER = Path(__file__).with_name("paper.yaml")


def keep(output: Path, checkpoint: str, identity: str, found: list[Result]) -> None:
    """Write results into `output/results.json`, beside those of other tasks and shots that the same model had.

    Raises: IntegrityError when something else lies there.
    """
    path = output / FILE
    earlier = _earlier(path, identity) if path.is_file() else {}
    new = [{**asdict(result), "paper": paper(result.task, result.shots)} for result in found]
    results = earlier | {_asked(result): result for result in new}
    told = {"checkpoint": checkpoint, "identity": identity, "results": [results[asked] for asked in sorted(results)]}
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def show_results(found: list[Result]) -> None:
    """Print the table."""
    table = Table("task", "shots", "metric", "here", "95 %", "paper", "examples")
    for result in found:
        theirs = paper(result.task, result.shots)
        for metric, score in result.scores.items():
            table.add_row(
                result.task + ", with rationale" * result.rationale, str(result.shots), metric,
                _told(score.value), _interval(score), f"{theirs[metric]:.1f}" if metric in theirs else "",
                f"{result.num_examples:,}",
            )  # fmt: skip
    Console().print(table)


def paper(task: str, shots: int) -> dict[str, float]:
    """Return the paper's figures for a task with so many shots, by metric; those that are known."""
    return _figures().get(task, {}).get(shots, {})


@cache
def _figures() -> dict[str, dict[int, dict[str, float]]]:
    found: dict[str, dict[int, dict[str, float]]] = yaml.safe_load(_PAPER.read_text(encoding="utf-8"))
    return found


def _interval(score: TaskScore) -> str:
    return "" if score.low is None or score.high is None else f"{_told(score.low)} to {_told(score.high)}"


def _told(value: float) -> str:
    return f"{value:.3f}" if 0 < abs(value) < 1 else f"{value:.1f}"


def _earlier(path: Path, identity: str) -> dict[tuple[str, int, bool], dict[str, Any]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {_asked(result): result for result in kept["results"]} if kept["identity"] == identity else {}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{path} is not what an evaluation wrote; move it away, and start again") from error


def _asked(result: dict[str, Any]) -> tuple[str, int, bool]:
    return result["task"], result["shots"], result["rationale"]


FOLDER = "evaluation"  # beside the checkpoint


@dataclass(frozen=True)
class EvalRequest:
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


def list_tasks() -> str:
    """Say what tasks there are, a line for each."""
    told = {**{task.name: task.about for task in TASKS.values()}, f"{PREFIX}NAME": "a task of lm-evaluation-harness"}
    width = max(map(len, told))
    return "\n".join(f"  {name:{width}}  {about}" for name, about in told.items())


def run(request: EvalRequest) -> None:
    """Evaluate, print the table and keep it; or print prompts. Under torchrun all processes share the work.

    Raises: RecipeError when a task is unknown, or a prompt too long for the model; PathError, SchemaError and
        IntegrityError, each naming the file and the row, when data or the checkpoint are missing or malformed. Of
        several processes the first raises these, the others ReportedError.
    """
    with resuming(), init() as processes:
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
            evaluate(task, request.data, output, request.settings(shots), KosmosAdapter(saved), identity, reader, party)
            for task in chosen
            for shots in request.shots
        ]
        for shots in request.shots if of_language else ():
            found += evaluate_language(saved, of_language, harness, request.settings(shots), party)
        if processes.rank == 0:
            keep(output, str(folder), identity, found)
            show_results(found)


def run_processes(request: EvalRequest, num_processes: int) -> int:
    """Do what `run` does in several processes of this machine; return the exit status.

    What a person may have got wrong in the command, and in the benchmarks' files, is found before any of them starts.
    Raises: as `run`.
    """
    chosen, _, _, folder = check(request)
    models.open_saved(request.checkpoint).load_tokenizer(request.tokenizer)
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
        return launch("trainer", ["eval", *arguments], num_processes)


def check(request: EvalRequest) -> tuple[list[Task], list[str], Any, Path]:
    """Return the tasks, those of the harness and the harness, and the folder of the weights. Raises: as `run`."""
    names = list(dict.fromkeys(request.tasks))
    chosen = [_task(name) for name in names if not name.startswith(PREFIX)]
    of_language = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    if of_language and (request.rationale or request.show_prompts is not None):
        raise RecipeError(f"--rationale and --show-prompts are not for {PREFIX} tasks, whose prompts the harness makes")
    harness = find(of_language, request.data) if of_language else None
    return chosen, of_language, harness, models.resolve(Path(request.checkpoint))


def _make(output: Path) -> None:
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)


def _prompts(request: EvalRequest, tasks: list[Task], output: Path, reader: Reader) -> Iterator[str]:
    for task in tasks:
        for shots in request.shots:
            settings = request.settings(shots)
            chosen = examples(task, request.data, output, settings)[: request.show_prompts]
            for example in show_shots(task, request.data, output, settings, chosen):
                asked = encode_prompt(reader, example, task.mode.max_tokens)
                yield from (f"{task.name} {example.id}: {show_prompt(reader, prompt)}" for prompt in asked.prompts)


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
