"""A cluster of several hosts with separate networks: all take part, and one may be disconnected and reconnected."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from clusters import CONF
from fetching import answers
from hosts import Hosts, need_namespaces, network
from runs import BIN, ROOT, TIMEOUT_SECONDS, run_arguments, sums
from webs import Web

from tests.sampleweb.cluster import ENVIRONMENT

pytestmark = pytest.mark.slow

WORKERS = ("worker-1", "worker-2", "worker-3")
IMAGE_PORT, MASTER_PORT = 8080, 7077
SILENT_SECONDS = 10  # after which a Worker counts as lost, and an executor too
IMAGES = """
import sys
from pipeline.inspect.replay import Index
from pipeline.inspect.replay import Proxy
Proxy(sys.argv[1], int(sys.argv[2]), Index(sys.argv[3:])).serve_forever()
"""


@dataclass(frozen=True)
class Farm:
    """Hosts that run a Master, three Workers and an image server, and one from which jobs are submitted."""

    hosts: Hosts
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "master.log").read_text(errors="replace")

    def submit(self, web: Web, output: Path) -> subprocess.Popen[bytes]:
        """Submit a run of a web, whose images come from the image server."""
        driver, images = self.hosts.addresses["driver"], self.hosts.addresses["images"]
        conf = CONF | {
            "spark.driver.host": driver,
            "spark.driver.bindAddress": driver,
            "spark.network.timeout": f"{SILENT_SECONDS}s",
            "spark.network.timeoutInterval": "2s",
            "spark.executor.heartbeatInterval": "2s",
        }
        options = [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]
        master = f"spark://{self.hosts.addresses['master']}:{MASTER_PORT}"
        arguments = run_arguments(Web(web.folder, f"http://{images}:{IMAGE_PORT}"), output)[1:]
        contact = ["--set", "fetch.contact=mailto:nobody@host.example"]
        command = [str(BIN / "spark-submit"), "--master", master, *options, str(ROOT / "jobs" / "main.py")]
        environment = {"PYSPARK_PYTHON": sys.executable}
        return self.hosts.start("driver", [*command, *arguments, *contact], self.folder / "driver.log", environment)

    def finish(self, job: subprocess.Popen[bytes]) -> None:
        assert job.wait(TIMEOUT_SECONDS) == 0, (self.folder / "driver.log").read_text(errors="replace")[-3_000:]


@pytest.fixture
def farm(small_web: Web, tmp_path: Path) -> Iterator[Farm]:
    need_namespaces()
    import pyspark

    home = Path(pyspark.__file__).parent
    spark_class = [str(home / "bin" / "spark-class")]
    environment = {**ENVIRONMENT, "SPARK_HOME": str(home), "SPARK_DAEMON_MEMORY": "256m",
                   "SPARK_DAEMON_JAVA_OPTS": f"-Dspark.worker.timeout={SILENT_SECONDS}"}  # fmt: skip
    with network("master", "driver", "images", *WORKERS) as hosts:
        farm = Farm(hosts, tmp_path)
        address = hosts.addresses
        of_host = {name: {**environment, "SPARK_LOCAL_IP": address[name]} for name in address}
        master = ["org.apache.spark.deploy.master.Master", "-h", address["master"], "-p", str(MASTER_PORT)]
        hosts.start("master", spark_class + master, tmp_path / "master.log", of_host["master"])
        wait_for(lambda: "New state: ALIVE" in farm.log, lambda: farm.log)  # a Worker that asks before registers twice
        for name in WORKERS:
            worker = ["org.apache.spark.deploy.worker.Worker", "-h", address[name], "-c", "1", "-m", "2g",
                      "-d", str(tmp_path / name), f"spark://{address['master']}:{MASTER_PORT}"]  # fmt: skip
            hosts.start(name, spark_class + worker, tmp_path / f"{name}.log", of_host[name])
        archive = str(small_web.folder / "images.warc.gz")
        serve = [sys.executable, "-c", IMAGES, address["images"], str(IMAGE_PORT), archive]
        hosts.start("images", serve, tmp_path / "images.log", {"PYTHONPATH": str(ROOT)})
        wait_for(lambda: farm.log.count("Registering worker") == len(WORKERS), lambda: farm.log)
        yield farm


def wait_for(condition: Callable[[], bool], say: Callable[[], str]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS / 2
    while not condition():
        assert time.monotonic() < deadline, say()[-3_000:]
        time.sleep(0.1)


def test_three_hosts_give_the_result_of_one(
    farm: Farm, small_web: Web, reference: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    farm.finish(farm.submit(small_web, output))
    launched = set(re.findall(r"Launching executor \S+ on worker worker-\d+-([0-9.]+)-\d+", farm.log))
    assert launched == {farm.hosts.addresses[name] for name in WORKERS}
    assert sums(output) == reference


def test_a_worker_is_disconnected_and_reconnected(
    farm: Farm, small_web: Web, reference: dict[str, str], tmp_path: Path
) -> None:
    output, lost = tmp_path / "out", WORKERS[0]
    job = farm.submit(small_web, output)
    wait_for(lambda: bool(answers(output)) or job.poll() is not None, lambda: "no image was fetched")
    assert not (output / "images" / "_manifest.json").exists(), "fetch was over: cut the cable earlier"
    farm.hosts.cable(lost, "down")
    address = farm.hosts.addresses[lost]
    wait_for(lambda: bool(re.search(rf"Removing worker \S+{re.escape(address)}", farm.log)), lambda: farm.log)
    assert job.poll() is None, "the run goes on without it"
    farm.hosts.cable(lost, "up")
    farm.finish(job)
    assert sums(output) == reference
    wait_for(lambda: len(re.findall(rf"Registering worker {re.escape(address)}", farm.log)) == 2, lambda: farm.log)
