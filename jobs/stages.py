"""How far a step is, as Spark tells it: tasks of the stages that run now, how long they will take, and rows written."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Look:
    """What is to be seen at one moment.

    stage:            how many stages of the step have begun
    done, tasks:      of the stages that run now: tasks that are done, and all
    failed:           tasks that failed and are repeated
    rows:             written so far, by all stages of the step
    seconds_left:     until these tasks are done, by the pace so far; None before the first is done
    """

    stage: int
    done: int
    tasks: int
    failed: int
    rows: int
    seconds_left: float | None


class Stages:
    """The stages of one step: of every job that Spark runs for it, wherever its tasks are."""

    def __init__(self, spark: "SparkSession", step: str) -> None:
        """Have Spark's jobs, from here on, bear the step's name: in its interface, its event log, and to `look`."""
        self.context = spark.sparkContext
        self.group = f"weft {step} {time.monotonic_ns()}"  # a step may run again in one session
        self.context.setJobGroup(self.group, f"weft {step}")
        self.begun: dict[int, float] = {}
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
        left: list[float] = []
        for stage in set(tracker.getActiveStageIds()) & self.rows.keys():
            info = tracker.getStageInfo(stage)
            if info:
                seconds = now - self.begun.setdefault(stage, now)
                done, tasks, failed = done + info.numCompletedTasks, tasks + info.numTasks, failed + info.numFailedTasks
                if info.numCompletedTasks:
                    left.append(seconds / info.numCompletedTasks * (info.numTasks - info.numCompletedTasks))
        return Look(len(self.begun), done, tasks, failed, sum(self.rows.values()), max(left, default=None))

    def _written(self, stage: int) -> int:
        """Return the rows that a stage has written; executors tell with their heartbeats, every 10 seconds."""
        from py4j.protocol import Py4JError

        java = self.context._jsc
        try:
            return int(java.sc().statusStore().lastStageAttempt(stage).outputRecords())
        except Py4JError:  # skipped, or not begun
            return 0
