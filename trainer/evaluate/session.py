"""An evaluation: one model on several tasks and numbers of shots, with a table of results."""

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
from trainer.evaluate.run import Result, Settings, Workgroup, add_shots, evaluate, examples, writing
from trainer.evaluate.task import Task, TaskScore
from trainer.evaluate.tasks import TASKS

FILE = "results.json"
_PAPER = Path(__file__).with_name("paper.yaml")


def save_results(output: Path, checkpoint: str, identity: str, found: list[Result]) -> None:
    """Merge results into `output/results.json`, which holds those of one model.

    Raises: IntegrityError when the file is damaged.
    """
    path = output / FILE
    earlier = _earlier(path, identity) if path.is_file() else {}
    new = [{**asdict(result), "paper": paper(result.task, result.shots)} for result in found]
    results = earlier | {_key(result): result for result in new}
    saved = {"checkpoint": checkpoint, "identity": identity, "results": [results[key] for key in sorted(results)]}
    path.write_text(json.dumps(saved, indent=2) + "\n", encoding="utf-8")


def show_results(found: list[Result]) -> None:
    """Print a table of results."""
    table = Table("task", "shots", "metric", "here", "95 %", "paper", "examples")
    for result in found:
        published = paper(result.task, result.shots)
        for metric, score in result.scores.items():
            table.add_row(
                result.task + ", with rationale" * result.rationale, str(result.shots), metric,
                _rounded(score.value), _interval(score), f"{published[metric]:.1f}" if metric in published else "",
                f"{result.num_examples:,}",
            )  # fmt: skip
    Console().print(table)


def paper(task: str, shots: int) -> dict[str, float]:
    """Return the paper's scores of a task and number of shots, by metric; empty if there are none."""
    return _paper_results().get(task, {}).get(shots, {})


@cache
def _paper_results() -> dict[str, dict[int, dict[str, float]]]:
    found: dict[str, dict[int, dict[str, float]]] = yaml.safe_load(_PAPER.read_text(encoding="utf-8"))
    return found


def _interval(score: TaskScore) -> str:
    return "" if score.low is None or score.high is None else f"{_rounded(score.low)} to {_rounded(score.high)}"


def _rounded(value: float) -> str:
    return f"{value:.3f}" if 0 < abs(value) < 1 else f"{value:.1f}"


def _earlier(path: Path, identity: str) -> dict[tuple[str, int, bool], dict[str, Any]]:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return {_key(result): result for result in saved["results"]} if saved["identity"] == identity else {}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"{path} does not hold results of an evaluation; move it away and repeat the command"
        ) from error


def _key(result: dict[str, Any]) -> tuple[str, int, bool]:
    return result["task"], result["shots"], result["rationale"]


FOLDER = "evaluation"  # in the checkpoint's folder


@dataclass(frozen=True)
class EvalRequest:
    """The options of an evaluation."""

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


def numbers(text: str) -> tuple[int, ...]:
    """Parse numbers of shots, such as 0,2,4,8. Raises: RecipeError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise RecipeError(f"--shots takes numbers such as 0,2,4,8, not {text!r}")
    return tuple(map(int, parts))


def list_tasks() -> str:
    """Return the list of tasks, with a line for each."""
    tasks = {**{task.name: task.about for task in TASKS.values()}, f"{PREFIX}NAME": "a task of lm-evaluation-harness"}
    width = max(map(len, tasks))
    return "\n".join(f"  {name:{width}}  {about}" for name, about in tasks.items())


def run(request: EvalRequest) -> None:
    """Evaluate, print and save the results; or print prompts. Under torchrun all processes share the work.

    Raises: RecipeError when a task is unknown, or a prompt too long for the model; PathError, SchemaError and
        IntegrityError, which name file and row, when data or the checkpoint are missing or malformed. The first
        process raises these, the others raise ReportedError.
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
        processes.together(lambda: _make(output))  # fails before any example is answered
        identity = _identity(folder, saved.tokenizer.sha256)
        group = Workgroup(processes.rank, processes.world, _wait, _gather, processes.together)
        found = [
            evaluate(task, request.data, output, request.settings(shots), KosmosAdapter(saved), identity, reader, group)
            for task in chosen
            for shots in request.shots
        ]
        for shots in request.shots if of_language else ():
            found += evaluate_language(saved, of_language, harness, request.settings(shots), group)
        if processes.rank == 0:
            save_results(output, str(folder), identity, found)
            show_results(found)


def run_processes(request: EvalRequest, num_processes: int) -> int:
    """Do what `run` does in several processes of this machine; return the exit status.

    Options and benchmark files are checked before any of them starts. Raises: as `run`.
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
    """Return the tasks, the names of language tasks, their harness, and the folder of the weights. Raises: as `run`."""
    names = list(dict.fromkeys(request.tasks))
    chosen = [_task(name) for name in names if not name.startswith(PREFIX)]
    of_language = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    if of_language and (request.rationale or request.show_prompts is not None):
        raise RecipeError(
            f"--rationale and --show-prompts do not work for {PREFIX} tasks: the harness makes their prompts"
        )
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
            for example in add_shots(task, request.data, output, settings, chosen):
                encoded = encode_prompt(reader, example, task.mode.max_tokens)
                yield from (f"{task.name} {example.id}: {show_prompt(reader, prompt)}" for prompt in encoded.prompts)


def _task(name: str) -> Task:
    if name not in TASKS:
        raise RecipeError(f"no task named {name}{nearest(name, list(TASKS))}; there are: {', '.join(TASKS)}")
    return TASKS[name].with_cached_reads()


def _wait() -> None:
    dist.barrier()


def _gather(part: list[Any]) -> list[Any]:
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, part)
    return [answer for of_process in parts for answer in of_process]


def _identity(folder: Path, tokenizer: str) -> str:
    """Return a digest of a model from its tokenizer and its files' sizes and times, without reading the weights."""
    files = sorted(folder.glob("*.safetensors"))
    return digest(tokenizer, *(repr((f.name, f.stat().st_size, f.stat().st_mtime_ns)) for f in files))
