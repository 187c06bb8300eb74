"""A standalone Spark cluster on this machine."""

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

from runs import started_by

ON_CLUSTER = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}  # environment of what is submitted
QUICK_START = "-XX:TieredStopAtLevel=1"
CONF = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.executor.memory": "1g",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.extraJavaOptions": QUICK_START,
    "spark.executor.extraJavaOptions": QUICK_START,
}
SUBMIT_OPTIONS = [part for key, value in CONF.items() for part in ("--conf", f"{key}={value}")]


@dataclass(frozen=True)
class Cluster:
    """A Spark Master and its Workers on this machine."""

    url: str
    log: Path
    workers: list[int]

    def executors(self) -> list[int]:
        """Return the processes of executors."""
        found = [pid for worker in self.workers for pid in started_by(worker)]
        return [pid for pid in found if b"CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def free_port() -> int:
    """Return a port of loopback that nobody listens at now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def standing(folder: Path) -> Iterator[Cluster]:
    """Have a Master and two Workers of one core each, from the pyspark that pip installed."""
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {**os.environ, **ON_CLUSTER, "SPARK_HOME": str(home), "SPARK_DAEMON_MEMORY": "256m"}
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
            for number in range(2):
                start("worker.Worker", "-c", "1", "-m", "2g", "-d", str(folder / f"worker-{number}"),
                      "--webui-port", str(free_port()), url)  # fmt: skip
            deadline = time.monotonic() + 120
            while path.read_text(errors="replace").count("Successfully registered with master") < 2:
                assert time.monotonic() < deadline, path.read_text(errors="replace")[-2_000:]
                time.sleep(0.2)
            yield Cluster(url, path, [daemon.pid for daemon in daemons[1:]])
        finally:
            for daemon in daemons:
                os.killpg(daemon.pid, signal.SIGTERM)
            for daemon in daemons:
                daemon.wait(timeout=30)
