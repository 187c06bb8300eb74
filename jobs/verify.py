"""Print what is wrong with a run's output, each thing in a line, and how it is mended."""

import os
from dataclasses import asdict

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jobs.printing import say
from jobs.progress import console
from pipeline.lookup import STEPS
from pipeline.verify import Defect, Report, verify
from schemas.display import to_json


def show(directory: str, deep: bool, processes: int | None, as_json: bool) -> bool:
    """Check an output and print the report, as lines or as one JSON object; return whether all is good.

    Raises: PathError when nothing of a run is there.
    """
    report = _watched(directory, deep, processes or os.cpu_count() or 1)
    remedies = _remedies(directory, report.defects)
    if as_json:
        print(to_json({**asdict(report), "remedies": remedies}, 1))
        return not report.defects
    for line in (*map(str, report.defects), *(f"note: {note}" for note in report.notes)):
        say(line)
    checked = ", ".join(f"{number:,} {what}" for what, number in report.counts.items())
    say(f"{checked}: {f'{len(report.defects):,} defects' if report.defects else 'all good'}")
    for remedy in remedies:
        say(remedy)
    return not report.defects


def _watched(directory: str, deep: bool, processes: int) -> Report:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    bar = Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("verify", total=None)
        return verify(directory, deep, processes, lambda done, of: bar.update(task, completed=done, total=of))


_TRAINED = {
    "tokenizer": "a damaged tokenizer: copy it again, or train it again by `weft tokenizer ... --overwrite`",
    "train": "damaged weights: copy the folder again, or remove it; `weft train` goes on from the checkpoint before",
}


def _remedies(directory: str, defects: list[Defect]) -> list[str]:
    """Say which steps make what is damaged anew; what follows the first of them is made by the same `weft run`."""
    damaged = {defect.step for defect in defects}
    steps = [step for step in STEPS.values() if step in damaged]
    trained = [line for step, line in _TRAINED.items() if step in damaged]
    if not steps:
        return trained
    commands = [f"`weft {s} --output {directory} --overwrite{' INPUT...' * (s == 'extract')}`" for s in steps]
    then = "" if steps[-1] == "shard" and len(steps) == 1 else ", then the `weft run` that made it makes the rest"
    return [f"to mend it: {', '.join(commands)}{then}", *trained]
