"""A standalone Spark cluster on this machine's loopback, from the pyspark that pip installed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 120
ENVIRONMENT = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
"""Of whatever runs or submits on the cluster."""


@dataclass(frozen=True)
class Cluster:
    """A Master, at its address; the processes of its Workers; and what all of them say."""

    url: str
    log: Path
    workers: list[int]


@contextmanager
def standing(folder: Path, num_workers: int = 2, cores: int = 1) -> Iterator[Cluster]:
    """Have a Master and Workers of so many cores each, 2 GB for each core; they end with the block.

    Raises: TimeoutError when they do not find one another, with the end of their log.
    """
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {**os.environ, **ENVIRONMENT, "SPARK_HOME": str(home), "SPARK_DAEMON_MEMORY": "256m"}
    path = folder / "cluster.log"
    daemons: list[subprocess.Popen[bytes]] = []

    def start(kind: str, *arguments: str) -> None:
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", "-h", "127.0.0.1",
                   "--webui-port", "0", *arguments]  # fmt: skip
        daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))

    def said(pattern: str, times: int = 1) -> str:
        deadline = time.monotonic() + START_SECONDS
        while len(found := re.findall(pattern, text := path.read_text(errors="replace"))) < times:
            if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in daemons):
                raise TimeoutError("\n".join(line for line in text.splitlines() if line[:1].strip())[-4_000:])
            time.sleep(0.2)
        return str(found[-1])

    with path.open("wb") as log:
        try:
            # The Master says which port it got. A Worker that asks before the Master leads waits ten seconds.
            start("master.Master", "-p", "0")
            said("New state: ALIVE")
            url = said(r"Starting Spark master at (spark://\S+)")
            for number in range(num_workers):
                start("worker.Worker", "-c", str(cores), "-m", f"{2 * cores}g", "-d", str(folder / f"worker-{number}"),
                      url)  # fmt: skip
            said("Successfully registered with master", num_workers)
            yield Cluster(url, path, [daemon.pid for daemon in daemons[1:]])
        finally:
            for daemon in daemons:
                os.killpg(daemon.pid, signal.SIGTERM)
            for daemon in daemons:
                daemon.wait(timeout=30)
