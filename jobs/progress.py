"""Show the progress of Spark's tasks: a bar on a terminal, a line every 10 seconds in a log."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from jobs.printing import progress_console as console

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


_NO_EXECUTOR = (
    "no executor has started: the cluster has no room for one now, or never for one of this size (--executor-cores, "
    "--conf spark.executor.memory=...)"
)
RECENT_SECONDS = 10
LINE_SECONDS = 10


@dataclass(frozen=True)
class Snapshot:
    """The progress of a step at one moment.

    stage:            number of stages begun
    done, tasks:      finished tasks and all tasks of the running stages
    failed:           failed tasks, which Spark repeats
    rows:             rows written so far by all stages of the step
    seconds_left:     estimate for the tasks of the running stages; None while a stage has no finished task, or had none
                      in the last RECENT_SECONDS, as when a task hangs
    starved:          whether tasks wait and the cluster has started no executor
    """

    stage: int
    done: int
    tasks: int
    failed: int
    rows: int
    seconds_left: float | None
    starved: bool = False


@dataclass
class Pace:
    """How fast the tasks of one stage finish. Times are in seconds of the monotonic clock."""

    begun: float
    num_done: int = 0
    finished: float = 0.0  # when num_done last changed

    def seconds_left(self, now: float, num_done: int, num_tasks: int) -> float | None:
        """Estimate the seconds until all tasks are done; None if none finished in the last RECENT_SECONDS."""
        if num_done != self.num_done:
            self.num_done, self.finished = num_done, now
        if not num_done or now - self.finished > RECENT_SECONDS:
            return None
        seconds_each = (self.finished - self.begun) / num_done
        return max(0.0, seconds_each * (num_tasks - num_done) - (now - self.finished))


class Stages:
    """The stages of all Spark jobs of one step."""

    def __init__(self, spark: "SparkSession", step: str) -> None:
        """Name all further Spark jobs after the step: in Spark's UI, in its event log, and for `snapshot`."""
        self.context = spark.sparkContext
        self.group = f"weft {step} {time.monotonic_ns()}"  # a step may run again in one session
        self.context.setJobGroup(self.group, f"weft {step}")
        self.paces: dict[int, Pace] = {}
        self.rows: dict[int, int] = {}
        self.ended: set[int] = set()

    def close(self) -> None:
        """Stop naming jobs."""
        for key in ("spark.jobGroup.id", "spark.job.description"):
            self.context.setLocalProperty(key, None)  # type: ignore[arg-type]

    def snapshot(self) -> Snapshot:
        """Read Spark's status tracker."""
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
                pace = self.paces.setdefault(stage, Pace(now))
                left.append(pace.seconds_left(now, info.numCompletedTasks, info.numTasks))
        known = [seconds for seconds in left if seconds is not None]
        seconds_left = max(known) if known and len(known) == len(left) else None
        starved = bool(tasks) and not done and not self._num_executors()
        return Snapshot(len(self.paces), done, tasks, failed, sum(self.rows.values()), seconds_left, starved)

    def _num_executors(self) -> int:
        """Return the number of executors; a local master is one itself."""
        num_with_driver = int(self.context._jsc.sc().getExecutorMemoryStatus().size())
        return num_with_driver - (not str(self.context.master).startswith("local"))

    def _written(self, stage: int) -> int:
        """Return the rows that a stage has written, as of the executors' last heartbeats (every 10 seconds)."""
        from py4j.protocol import Py4JError

        java = self.context._jsc
        try:
            return int(java.sc().statusStore().lastStageAttempt(stage).outputRecords())
        except Py4JError:  # skipped, or not begun
            return 0


@contextmanager
def progress(spark: "SparkSession", name: str, status: Callable[[], str] | None = None) -> Iterator[None]:
    """Show the progress of Spark's running stages while the block runs, followed by what `status` returns.

    Without `status` the number of rows written is shown.
    """
    done, stages = threading.Event(), Stages(spark, name)
    show = _bar if console.is_terminal else _lines
    watcher = threading.Thread(target=show, args=(stages, name, status, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join(timeout=5)
        stages.close()


def describe(now: Snapshot, status: Callable[[], str] | None) -> str:
    """Describe a snapshot: the time left, failed tasks, and the step's own status or the rows written."""
    left, failed = now.seconds_left, now.failed
    parts = (
        _NO_EXECUTOR * now.starved,
        f"about {duration(left)} left for these tasks" if left else "",
        f"{failed:,} failed, repeated" * bool(failed),
        status() if status else f"{now.rows:,} rows written" if now.rows else "",
    )
    return "; ".join(filter(None, parts))


def duration(seconds: float) -> str:
    """Format a time for people: 45 s, 2.5 min, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 10 else f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _bar(stages: Stages, name: str, status: Callable[[], str] | None, done: threading.Event) -> None:
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TextColumn("tasks"))
    of_stage, text = TextColumn("stage {task.fields[stage]}"), TextColumn("{task.fields[text]}", markup=False)
    with Progress(*columns, of_stage, TimeElapsedColumn(), text, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None, stage=1, text="")
        while not done.wait(0.5):
            now = stages.snapshot()
            text_now = describe(now, status)
            bar.update(task, completed=now.done, total=now.tasks or None, stage=now.stage or 1, text=text_now)


def _lines(stages: Stages, name: str, status: Callable[[], str] | None, done: threading.Event) -> None:
    started = time.monotonic()
    while not done.wait(LINE_SECONDS):
        now = stages.snapshot()
        tasks = f"stage {now.stage}, {now.done} of {now.tasks} tasks" if now.tasks else ""
        parts = filter(None, (tasks, duration(time.monotonic() - started), describe(now, status)))
        console.print(Text(f"{name}: {'; '.join(parts)}"), soft_wrap=True)
