"""A standalone Spark cluster on this machine's loopback, from the pyspark that pip installed."""

import os
import signal
import socket
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


def free_port() -> int:
    """Return a port of loopback that nobody listens at now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


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
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", "-h", "127.0.0.1", *arguments]
        daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))

    port = free_port()
    url = f"spark://127.0.0.1:{port}"
    with path.open("wb") as log:
        try:
            start("master.Master", "-p", str(port), "--webui-port", str(free_port()))
            for number in range(num_workers):
                start("worker.Worker", "-c", str(cores), "-m", f"{2 * cores}g", "-d", str(folder / f"worker-{number}"),
                      "--webui-port", str(free_port()), url)  # fmt: skip
            deadline = time.monotonic() + START_SECONDS
            while path.read_text(errors="replace").count("Successfully registered with master") < num_workers:
                if time.monotonic() > deadline:
                    raise TimeoutError(path.read_text(errors="replace")[-2_000:])
                time.sleep(0.2)
            yield Cluster(url, path, [daemon.pid for daemon in daemons[1:]])
        finally:
            for daemon in daemons:
                os.killpg(daemon.pid, signal.SIGTERM)
            for daemon in daemons:
                daemon.wait(timeout=30)
