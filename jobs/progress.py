"""Show how far Spark is: a bar on a terminal, a line now and then in a log."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from jobs.printing import progress_console
from jobs.stages import Look, Stages

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

console = progress_console
LINE_SECONDS = 10


@contextmanager
def progress(spark: "SparkSession", name: str, tell: Callable[[], str] | None = None) -> Iterator[None]:
    """Show the tasks of Spark's running stages while the block runs, and beside them what `tell` says of the yield.

    Without `tell` the rows that Spark has written are told.
    """
    done, stages = threading.Event(), Stages(spark, name)
    show = _bar if console.is_terminal else _lines
    watcher = threading.Thread(target=show, args=(stages, name, tell, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join(timeout=5)
        stages.close()


def words(look: Look, tell: Callable[[], str] | None) -> str:
    """Say of a moment how long it will take, what failed, and what has come of the step so far."""
    left, failed = look.seconds_left, look.failed
    told = tell() if tell else f"{look.rows:,} rows written" if look.rows else ""
    parts = (
        f"about {span(left)} left of these tasks" if left else "",
        f"{failed:,} failed, repeated" * bool(failed),
        told,
    )
    return "; ".join(filter(None, parts))


def span(seconds: float) -> str:
    """Say a time as people do: 45 s, 2.5 min, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 10 else f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _bar(stages: Stages, name: str, tell: Callable[[], str] | None, done: threading.Event) -> None:
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TextColumn("tasks"))
    of_stage, said = TextColumn("stage {task.fields[stage]}"), TextColumn("{task.fields[words]}", markup=False)
    with Progress(*columns, of_stage, TimeElapsedColumn(), said, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None, stage=1, words="")
        while not done.wait(0.5):
            look = stages.look()
            bar.update(
                task, completed=look.done, total=look.tasks or None, stage=look.stage or 1, words=words(look, tell)
            )


def _lines(stages: Stages, name: str, tell: Callable[[], str] | None, done: threading.Event) -> None:
    started = time.monotonic()
    while not done.wait(LINE_SECONDS):
        look = stages.look()
        tasks = f"stage {look.stage}, {look.done} of {look.tasks} tasks" if look.tasks else ""
        said = filter(None, (tasks, span(time.monotonic() - started), words(look, tell)))
        console.print(Text(f"{name}: {'; '.join(said)}"), soft_wrap=True)
