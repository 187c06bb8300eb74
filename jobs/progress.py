"""Show how far Spark is: a bar on a terminal, a line now and then in a log."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from jobs.printing import progress_console

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


LATELY_SECONDS = 10


@dataclass(frozen=True)
class Look:
    """What is to be seen at one moment.

    stage:            how many stages of the step have begun
    done, tasks:      of the stages that run now: tasks that are done, and all
    failed:           tasks that failed and are repeated
    rows:             written so far, by all stages of the step
    seconds_left:     until these tasks are done, by the pace so far; None while none of a running stage's are done, or
                      none was lately: who waits for a task that hangs is promised nothing
    """

    stage: int
    done: int
    tasks: int
    failed: int
    rows: int
    seconds_left: float | None


@dataclass
class Pace:
    """How fast the tasks of one stage finish. Times are of the monotonic clock, in seconds."""

    begun: float
    num_done: int = 0
    finished: float = 0.0  # when a task was last seen to have finished

    def left(self, now: float, num_done: int, num_tasks: int) -> float | None:
        """Return the seconds until all tasks are done; None where none finished in the last LATELY_SECONDS."""
        if num_done != self.num_done:
            self.num_done, self.finished = num_done, now
        if not num_done or now - self.finished > LATELY_SECONDS:
            return None
        seconds_each = (self.finished - self.begun) / num_done
        return max(0.0, seconds_each * (num_tasks - num_done) - (now - self.finished))


class Stages:
    """The stages of one step: of every job that Spark runs for it, wherever its tasks are."""

    def __init__(self, spark: "SparkSession", step: str) -> None:
        """Have Spark's jobs, from here on, bear the step's name: in its interface, its event log, and to `look`."""
        self.context = spark.sparkContext
        self.group = f"weft {step} {time.monotonic_ns()}"  # a step may run again in one session
        self.context.setJobGroup(self.group, f"weft {step}")
        self.paces: dict[int, Pace] = {}
        self.rows: dict[int, int] = {}
        self.ended: set[int] = set()

    def close(self) -> None:
        """Let further jobs go without the name."""
        for key in ("spark.jobGroup.id", "spark.job.description"):
            self.context.setLocalProperty(key, None)  # type: ignore[arg-type]

    def look(self) -> Look:
        """Ask Spark's status tracker."""
        tracker, now = self.context.statusTracker(), time.monotonic()
        for job in filter(None, map(tracker.getJobInfo, tracker.getJobIdsForGroup(self.group))):
            for stage in set(job.stageIds) - self.ended:
                self.rows[stage] = self._written(stage)
            if job.status != "RUNNING":
                self.ended.update(job.stageIds)
        done = tasks = failed = 0
        left: list[float | None] = []
        for stage in set(tracker.getActiveStageIds()) & self.rows.keys():
            info = tracker.getStageInfo(stage)
            if info:
                done, tasks, failed = done + info.numCompletedTasks, tasks + info.numTasks, failed + info.numFailedTasks
                left.append(self.paces.setdefault(stage, Pace(now)).left(now, info.numCompletedTasks, info.numTasks))
        known = [seconds for seconds in left if seconds is not None]
        seconds_left = max(known) if known and len(known) == len(left) else None
        return Look(len(self.paces), done, tasks, failed, sum(self.rows.values()), seconds_left)

    def _written(self, stage: int) -> int:
        """Return the rows that a stage has written; executors tell with their heartbeats, every 10 seconds."""
        from py4j.protocol import Py4JError

        java = self.context._jsc
        try:
            return int(java.sc().statusStore().lastStageAttempt(stage).outputRecords())
        except Py4JError:  # skipped, or not begun
            return 0


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
