"""Tasks of lm-evaluation-harness, for what Kosmos-1 was asked in text alone (arXiv 2302.14045, section 4).

The harness reads their data, makes their prompts and judges; it may fetch data from a hub. One's own tasks are YAML
files in the folder `language` of the data: they read local files by `dataset_path: json` and `data_files`. Python that
such a file names is run.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from schemas.errors import MissingError, PathError, RecipeError
from schemas.overrides import nearest
from trainer.evaluate.language import Instance, Language
from trainer.evaluate.metrics.accuracy import Z_95
from trainer.evaluate.run import Party, Result, Settings
from trainer.evaluate.task import Score
from trainer.saved import Saved

PREFIX = "language:"  # before the harness's own name of a task
FOLDER = "language"  # of one's own tasks
_SHARES = "acc", "acc_norm", "exact_match"  # metrics of 0 to 1, told on the paper's scale; others as the harness does


def find(names: Sequence[str], data: Path) -> Any:
    """Find tasks by the harness's names; return its TaskManager, which reads them.

    Raises: MissingError without the harness; RecipeError when a task is unknown.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise MissingError('tasks of language need lm-evaluation-harness: pip install "weft[language]"') from error

    own = data / FOLDER
    manager = TaskManager(include_path=str(own) if own.is_dir() else None)
    for name in names:
        if name not in manager.all_tasks:
            raise RecipeError(f"the harness has no task {name}{nearest(name, manager.all_tasks)}")
    return manager


def evaluate_language(
    saved: Saved, names: Sequence[str], manager: Any, settings: Settings, party: Party
) -> list[Result]:
    """Ask tasks that were found, all with as many shots. The first process gets each one's result, a group's parts too.

    Raises: PathError when a task's data cannot be read, or fetched.
    """
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM

    class Model(Language, LM):  # type: ignore[misc]  # the harness is not there where types are checked
        """The model, with what the harness has for every model; each process answers its part."""

        def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
            return _shared(super().loglikelihood, requests, party)

        def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
            return _shared(super().loglikelihood_rolling, requests, party)

        def generate_until(self, requests: Sequence[Instance]) -> list[str]:
            return _shared(super().generate_until, requests, party)

    try:
        found = simple_evaluate(
            Model(saved, settings.batch), tasks=list(names), num_fewshot=settings.shots, limit=settings.limit,
            task_manager=manager, log_samples=False, fewshot_random_seed=settings.seed,
        )  # fmt: skip
    except OSError as error:  # of its hub too
        raise PathError(f"the harness cannot read the data of {', '.join(names)}: {error}") from error
    if found is None:  # the harness tells the first process alone
        return []
    return [_result(task, told, found, settings) for task, told in found["results"].items()]


def _shared(answer: Callable[[Sequence[Any]], list[Any]], requests: Sequence[Any], party: Party) -> list[Any]:
    """Answer this process's part of what is asked, and return all parts in order."""
    first, last = (len(requests) * number // party.world for number in (party.rank, party.rank + 1))
    return party.gather(party.together(lambda: answer(requests[first:last]) if last > first else []))


def _result(task: str, told: dict[str, Any], found: dict[str, Any], settings: Settings) -> Result:
    num_examples = found["n-samples"].get(task, {}).get("effective", 0)
    scores = {}
    for key, value in told.items():
        metric, _, way = key.partition(",")  # as acc,none: the metric, and how what is said was read
        if isinstance(value, int | float) and not metric.endswith("_stderr") and way:
            scale = 100 if metric in _SHARES else 1
            error = told.get(f"{metric}_stderr,{way}")
            reach = Z_95 * error if isinstance(error, int | float) else None
            interval = (None, None) if reach is None else (scale * (value - reach), scale * (value + reach))
            scores[metric if way == "none" else f"{metric} ({way})"] = Score(scale * value, *interval)
    return Result(f"{PREFIX}{task}", settings.shots, False, num_examples, scores)
