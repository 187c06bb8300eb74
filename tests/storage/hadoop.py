"""HDFS and YARN of one node each on loopback: their real daemons, from the jars of Hadoop's minicluster."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ondisk import SETTINGS
from servers import START_SECONDS, free_ports, jars, missing
from webs import Web

from pipeline.io.store import Store
from tests.jobs.runs import tree_of
from tests.processes import is_alive

STOP_SECONDS = 30
NODE_MB = 6144  # of containers
_LOGGING = """\
log4j.rootLogger=WARN,A
log4j.appender.A=org.apache.log4j.ConsoleAppender
log4j.appender.A.layout=org.apache.log4j.PatternLayout
log4j.appender.A.layout.ConversionPattern=%d %p %c: %m%n
"""
_DAEMONS = {
    "namenode": "hdfs.server.namenode.NameNode",
    "datanode": "hdfs.server.datanode.DataNode",
    "resourcemanager": "yarn.server.resourcemanager.ResourceManager",
    "nodemanager": "yarn.server.nodemanager.NodeManager",
}


@dataclass
class Hadoop:
    """The daemons of a folder: its configuration in `conf`, their logs in `logs`."""

    folder: Path
    ports: dict[str, int]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        """HADOOP_CONF_DIR."""
        return self.folder / "conf"

    @property
    def url(self) -> str:
        """The address of the file system, without a slash at the end."""
        return f"hdfs://127.0.0.1:{self.ports['namenode']}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which commands use this cluster."""
        return {"HADOOP_CONF_DIR": str(self.conf)}

    def rest(self, path: str, value: Any = None) -> Any:
        """Ask the ResourceManager, or with a value change something there."""
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['resourcemanager-web']}/ws/v1/cluster/{path}",
            data,
            {"Content-Type": "application/json", "Accept": "application/json"},
            method="GET" if data is None else "PUT",
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def applications(self) -> list[dict[str, Any]]:
        """Return the ResourceManager's reports of all applications, oldest first."""
        apps = (self.rest("apps")["apps"] or {}).get("app", [])
        return sorted(apps, key=lambda app: int(app["id"].rsplit("_", 1)[-1]))

    def kill(self, application: str) -> None:
        """End an application as `yarn application -kill` does."""
        with suppress(urllib.error.HTTPError):  # it has ended
            self.rest(f"apps/{application}/state", {"state": "KILLED"})

    def kill_all(self) -> None:
        """End all applications that run."""
        for app in self.applications():
            if app["finalStatus"] == "UNDEFINED":
                self.kill(app["id"])

    def containers(self, main: str) -> list[int]:
        """Return the processes of containers whose command line names a class or script, without their shells."""
        found = []
        for pid in tree_of(self.daemons["nodemanager"].pid):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                if not words[0].endswith("bash") and any(main in word for word in words):
                    found.append(pid)
        return found

    def said(self, application: str) -> str:
        """Return what the containers of an application wrote, for messages of tests."""
        logs = sorted((self.folder / "logs" / "containers" / application).rglob("*"))
        texts = [f"== {p.parent.name}/{p.name}\n{p.read_text(errors='replace')}" for p in logs if p.is_file()]
        return "\n".join(texts)

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the daemon of a name, or run it with arguments."""
        command = [_java(), "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
                   f"{self.conf}:{jars('daemons')}/*", f"org.apache.hadoop.{_DAEMONS[name]}", *arguments]  # fmt: skip
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SPARK"))}
        environment = {**own, "JAVA_HOME": str(Path(_java()).parent.parent), **self.environment}
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self, condition: Callable[[], Any]) -> None:
        """Wait until the daemons are ready. Raises: RuntimeError with the ends of their logs."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError, KeyError, ValueError):  # none answers yet
                if condition():
                    return
            if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in self.daemons.values()):
                logs = [self.folder / "logs" / f"{name}.log" for name in self.daemons]
                raise RuntimeError("\n".join(log.read_text(errors="replace")[-2_000:] for log in logs))
            time.sleep(0.3)

    def stop(self, *names: str) -> None:
        """End daemons, and what they have started."""
        daemons = [self.daemons.pop(name) for name in names if name in self.daemons]
        started = [pid for daemon in daemons for pid in tree_of(daemon.pid)]
        for daemon in daemons:
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            try:
                daemon.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for pid in filter(is_alive, started):  # containers have sessions of their own
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _java() -> str:
    home, found = os.environ.get("JAVA_HOME"), shutil.which("java")
    java = Path(home) / "bin" / "java" if home else Path(found) if found else None
    return str(java.resolve()) if java else missing("java is not installed: apt install openjdk-17-jre-headless")


def _write(path: Path, properties: dict[str, str]) -> None:
    """Write a configuration file of Hadoop."""
    lines = [f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items()]
    path.write_text("\n".join(["<configuration>", *lines, "</configuration>", ""]))


def _configure(folder: Path) -> Hadoop:
    names = ("namenode", "namenode-web", "resourcemanager", "resourcemanager-web", "scheduler", "tracker", "admin",
             "nodemanager", "nodemanager-web", "localizer")  # fmt: skip
    hadoop = Hadoop(folder, dict(zip(names, free_ports(len(names)), strict=True)))
    at = {name: f"127.0.0.1:{port}" for name, port in hadoop.ports.items()}
    for part in ("conf", "logs"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _write(hadoop.conf / "core-site.xml", {"fs.defaultFS": hadoop.url, "hadoop.tmp.dir": str(folder / "data")})
    hdfs = {
        "dfs.replication": "1",
        "dfs.namenode.rpc-bind-host": "127.0.0.1",
        "dfs.namenode.http-address": at["namenode-web"],
        "dfs.datanode.address": "127.0.0.1:0",
        "dfs.datanode.http.address": "127.0.0.1:0",
        "dfs.datanode.ipc.address": "127.0.0.1:0",
        "dfs.datanode.du.reserved": "0",
    }
    yarn = {
        "yarn.resourcemanager.hostname": "127.0.0.1",
        "yarn.resourcemanager.address": at["resourcemanager"],
        "yarn.resourcemanager.webapp.address": at["resourcemanager-web"],
        "yarn.resourcemanager.scheduler.address": at["scheduler"],
        "yarn.resourcemanager.resource-tracker.address": at["tracker"],
        "yarn.resourcemanager.admin.address": at["admin"],
        "yarn.resourcemanager.scheduler.class":
            "org.apache.hadoop.yarn.server.resourcemanager.scheduler.fifo.FifoScheduler",
        "yarn.scheduler.minimum-allocation-mb": "256",
        "yarn.scheduler.maximum-allocation-mb": str(NODE_MB),
        "yarn.nodemanager.hostname": "127.0.0.1",
        "yarn.nodemanager.address": at["nodemanager"],
        "yarn.nodemanager.webapp.address": at["nodemanager-web"],
        "yarn.nodemanager.localizer.address": at["localizer"],
        "yarn.nodemanager.log-dirs": str(folder / "logs" / "containers"),
        "yarn.nodemanager.delete.debug-delay-sec": "600",  # keeps the logs of containers for messages of tests
        "yarn.nodemanager.resource.memory-mb": str(NODE_MB),
        "yarn.nodemanager.resource.cpu-vcores": "8",
        "yarn.nodemanager.vmem-check-enabled": "false",
        "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "99.5",
    }  # fmt: skip
    _write(hadoop.conf / "hdfs-site.xml", hdfs)
    _write(hadoop.conf / "yarn-site.xml", yarn)
    (hadoop.conf / "log4j.properties").write_text(_LOGGING)
    return hadoop


@contextmanager
def hdfs(folder: Path) -> Iterator[Hadoop]:
    """Have a NameNode and a DataNode with their data in a folder; they end with the block."""
    hadoop = _configure(folder)
    if hadoop.start("namenode", "-format", "-nonInteractive").wait(START_SECONDS):
        raise RuntimeError((folder / "logs" / "namenode.log").read_text(errors="replace")[-4_000:])
    try:
        for name in ("namenode", "datanode"):
            hadoop.daemons[name] = hadoop.start(name)
        hadoop.wait(lambda: _has_space(hadoop))
        yield hadoop
    finally:
        hadoop.stop("datanode", "namenode")


def _has_space(hadoop: Hadoop) -> bool:
    """Return whether a DataNode serves and the NameNode has left its safe mode."""
    query = "qry=Hadoop:service=NameNode,name=FSNamesystemState"
    with urllib.request.urlopen(f"http://127.0.0.1:{hadoop.ports['namenode-web']}/jmx?{query}", timeout=5) as answer:
        (state,) = json.load(answer)["beans"]
    return bool(state["NumLiveDataNodes"] == 1 and state["FSState"] == "Operational")


@contextmanager
def yarn(hadoop: Hadoop) -> Iterator[Hadoop]:
    """Have a ResourceManager and a NodeManager too; they and their containers end with the block."""
    try:
        for name in ("resourcemanager", "nodemanager"):
            hadoop.daemons[name] = hadoop.start(name)
        hadoop.wait(lambda: [node["state"] for node in hadoop.rest("nodes")["nodes"]["node"]] == ["RUNNING"])
        yield hadoop
    finally:
        with suppress(OSError, KeyError):
            hadoop.kill_all()
        hadoop.stop("nodemanager", "resourcemanager")


def application_of(said: str) -> str:
    """Return the id of the application that spark-submit reports."""
    found = re.search(r"application_\d+_\d+", said)
    assert found, said
    return found[0]


@dataclass(frozen=True)
class Crawl:
    """A small web whose archives are in HDFS, and the checksums of its shards as a run on disk makes them."""

    web: Web
    archives: list[str]
    reference: dict[str, str]

    def arguments(self, output: str) -> list[str]:
        """Return the arguments of `weft run` and `weft submit`, without the master."""
        return [*SETTINGS[2:], "--set", f"fetch.proxy={self.web.proxy}", "--output", output, *self.archives]


def shards(store: Store) -> dict[str, str]:
    """Return the SHA-256 of every file that a trainer reads, as `runs.sums` of a folder."""
    paths = [path.removeprefix(f"{store.path}/shards/") for path in store.fs.find(store.at("shards"))]
    shown = [path for path in paths if not path.rsplit("/", 1)[-1].startswith("_")]
    return {path: hashlib.sha256(store.fs.cat_file(store.at("shards", path))).hexdigest() for path in shown}
