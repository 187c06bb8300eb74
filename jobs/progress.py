"""Show how far Spark is: a bar on a terminal, a line now and then in a log."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

console = Console(stderr=True)
LINE_SECONDS = 10


@contextmanager
def progress(spark: "SparkSession", name: str, tell: Callable[[], str] | None = None) -> Iterator[None]:
    """Show the tasks of Spark's running stages while the block runs, and beside them what `tell` says."""
    done = threading.Event()
    show = _bar if console.is_terminal else _lines
    watcher = threading.Thread(target=show, args=(spark, name, tell or str, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join(timeout=5)


def _tasks(spark: "SparkSession") -> tuple[int, int]:
    """Return the finished and all tasks of the stages that run now."""
    tracker = spark.sparkContext.statusTracker()
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    running = [stage for stage in stages if stage is not None]
    return sum(s.numCompletedTasks for s in running), sum(s.numTasks for s in running)


def _bar(spark: "SparkSession", name: str, tell: Callable[[], str], done: threading.Event) -> None:
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TextColumn("tasks"))
    words = TextColumn("{task.fields[words]}")
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), words, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None, words="")
        while not done.wait(0.5):
            finished, total = _tasks(spark)
            bar.update(task, completed=finished, total=total or None, words=tell())


def _lines(spark: "SparkSession", name: str, tell: Callable[[], str], done: threading.Event) -> None:
    started = time.monotonic()
    while not done.wait(LINE_SECONDS):
        finished, total = _tasks(spark)
        words = f"; {told}" if (told := tell()) else ""
        console.print(
            f"{name}: {finished} of {total} tasks, {time.monotonic() - started:.0f} s{words}", highlight=False
        )
