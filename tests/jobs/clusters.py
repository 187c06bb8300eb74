"""Helpers for tests on a local cluster."""

import shlex
from pathlib import Path

from runs import started_by

from jobs.session import QUICK_COMPILER
from tests.sampleweb.cluster import ENVIRONMENT, Cluster

CONF = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.executor.memory": "1g",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.extraJavaOptions": QUICK_COMPILER,
    "spark.executor.extraJavaOptions": QUICK_COMPILER,
}
SUBMIT_OPTIONS = [part for key, value in CONF.items() for part in ("--conf", f"{key}={value}")]
SUBMITTED = {**ENVIRONMENT, "PYSPARK_SUBMIT_ARGS": shlex.join([*SUBMIT_OPTIONS, "pyspark-shell"])}
"""The environment in which `weft --master` has these options."""


def executors(cluster: Cluster) -> list[int]:
    """Return the processes of executors."""
    found = [pid for worker in cluster.workers for pid in started_by(worker)]
    return [pid for pid in found if b"CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes()]
