"""Send a run to a cluster: check the arguments, size the executors, compose and run spark-submit."""

import importlib.util
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import yaml

from jobs import recipes
from jobs.session import check_java, check_master, java_environment
from pipeline.inspect.plan import Estimate, count_archives
from schemas.display import MASK, message, printable, redact
from schemas.errors import MissingError, PathError, WeftError
from schemas.program import Interrupted, continuing, resuming
from schemas.recipe import Recipe

_SHIPPED = files("jobs") / "rates.yaml"


def shipped_rates() -> dict[str, Estimate]:
    """Return the shipped rates by name; those about archives are Common Crawl's."""
    listed = yaml.safe_load(_SHIPPED.read_text("utf-8"))
    return {
        name: Estimate(rate["value"], rate["unit"], rate["known"], (rate["source"],)) for name, rate in listed.items()
    }


CORES = 4  # default per executor
MAX_EXECUTORS = 10  # by default, so as not to take over a shared cluster
HEAP_MB_PER_CORE = 2048  # joins and shuffles; images pass in small Arrow batches
PYTHON_MB_PER_CORE = 1024  # a worker that decodes reaches 322 MB, its child process comes on top; see docs/cluster.md
CLIP_MB_PER_CORE = 1024  # each worker that embeds loads its own model
BYTES_PER_PARTITION = 256_000_000  # of archives; only a fraction of it is shuffled
DRIVER_MB, MAX_DRIVER_MB = 4096, 16_384  # plans, task results and listings of parts grow with the archives
ARCHIVES_PER_DRIVER_MB = 8
MIN_PARTITIONS, MAX_PARTITIONS = 16, 20_000  # Spark merges small ones; too many overload the driver


@dataclass(frozen=True)
class Sizes:
    """What to request for executors. num_executors None: as many as the archives keep busy, up to MAX_EXECUTORS."""

    num_archives: int
    archive_bytes: int
    clip: bool
    cores: int = CORES
    num_executors: int | None = None
    gpus: int = 0
    discovery_script: str | None = None

    @property
    def executors(self) -> int:
        """Return the number of executors to request."""
        return self.num_executors or min(MAX_EXECUTORS, max(1, math.ceil(self.num_archives / self.cores)))

    @property
    def partitions(self) -> int:
        """Return the number of shuffle partitions: three per core, more for large inputs."""
        num = max(MIN_PARTITIONS, 3 * self.cores * self.executors, self.archive_bytes // BYTES_PER_PARTITION)
        return min(MAX_PARTITIONS, num)

    @property
    def driver_mb(self) -> int:
        """Return the driver's heap [MB]."""
        return min(MAX_DRIVER_MB, DRIVER_MB + self.num_archives // ARCHIVES_PER_DRIVER_MB)

    def settings(self, kind: str) -> dict[str, str]:
        """Return Spark's settings for a kind of cluster: standalone, yarn or k8s."""
        python = PYTHON_MB_PER_CORE + CLIP_MB_PER_CORE * self.clip
        found = {
            "spark.driver.maxResultSize": f"{self.driver_mb // 2}m",
            "spark.driver.memory": f"{self.driver_mb}m",
            "spark.executor.cores": str(self.cores),
            "spark.executor.memory": f"{HEAP_MB_PER_CORE * self.cores}m",
            "spark.executor.memoryOverhead": f"{python * self.cores}m",
            "spark.sql.shuffle.partitions": str(self.partitions),
        }
        if kind != "standalone":
            found["spark.executor.instances"] = str(self.executors)
        elif self.num_executors:  # a standalone cluster gives all its cores by default
            found["spark.cores.max"] = str(self.cores * self.num_executors)
        return {**found, **self._gpu_settings(kind)}

    def _gpu_settings(self, kind: str) -> dict[str, str]:
        if not self.gpus:
            return {}
        found = {"spark.executor.resource.gpu.amount": str(self.gpus)}
        if kind == "k8s":
            found["spark.executor.resource.gpu.vendor"] = "nvidia.com"
        if self.discovery_script:
            found["spark.executor.resource.gpu.discoveryScript"] = self.discovery_script
        return found


ENVIRONMENT = "environment"  # the folder into which a node unpacks the packed environment
PYTHON = f"./{ENVIRONMENT}/bin/python"
UPLOAD = "spark.kubernetes.file.upload.path"
IMAGE = "spark.kubernetes.container.image"
SAFE_PATH = {"yarn": "spark.yarn.appMasterEnv.PYTHONSAFEPATH", "k8s": "spark.kubernetes.driverEnv.PYTHONSAFEPATH"}
NO_SPECULATION = {"spark.speculation": "false"}  # a second copy of a fetch task would request images twice
ONE_ATTEMPT = {"spark.yarn.maxAppAttempts": "1"}  # a run that failed would fail again; the same command continues
EXECUTOR_PYTHON, DRIVER_PYTHON = "spark.pyspark.python", "spark.pyspark.driver.python"


@dataclass(frozen=True)
class Submission:
    """What to submit where.

    environment: path or address of the packed environment; None: Weft is installed on every node
    deploy_mode: None means `cluster` on Kubernetes, else `client`
    conf:        settings of the user, which override all others
    arguments:   those of `weft run`
    """

    master: str
    deploy_mode: str | None
    environment: str | None
    conf: Mapping[str, str]
    sizes: Sizes
    arguments: Sequence[str] = ()
    shipped: Sequence[str] = ()  # further files that the driver needs beside it
    defaults: Mapping[str, str] = field(default_factory=dict)  # of spark-defaults.conf; only conf overrides them

    @property
    def kind(self) -> str:
        """Return the kind of scheduler: standalone, yarn, k8s or local."""
        start = self.master.partition(":")[0].partition("[")[0]
        return {"spark": "standalone", "yarn": "yarn", "k8s": "k8s"}.get(start, "local")

    @property
    def mode(self) -> str:
        """Return where the driver runs: with this command (client) or on the cluster (cluster)."""
        return self.deploy_mode or ("cluster" if self.kind == "k8s" else "client")

    @property
    def user_settings(self) -> dict[str, str]:
        """Return what the user has set, here or in spark-defaults.conf."""
        return {**self.defaults, **self.conf}


def home() -> Path:
    """Return the Spark to submit with: SPARK_HOME, else the installed pyspark. Raises: MissingError without either."""
    named = os.environ.get("SPARK_HOME")
    found = importlib.util.find_spec("pyspark")
    folder = Path(named) if named else Path(found.origin).parent if found and found.origin else None
    if folder is None or not (folder / "bin" / "spark-submit").is_file():
        raise MissingError(
            f"no spark-submit in {named or 'pyspark'}: set SPARK_HOME to a Spark folder, or pip install "
            "'weft[pipeline]'"
        )
    return folder


def defaults(spark: Path) -> dict[str, str]:
    """Return the settings of spark-defaults.conf, in SPARK_CONF_DIR or the Spark folder."""
    path = Path(os.environ.get("SPARK_CONF_DIR") or spark / "conf") / "spark-defaults.conf"
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
    pairs = [line.replace("=", " ", 1).split(None, 1) for line in lines if line and not line.startswith("#")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def check(submission: Submission) -> None:
    """Raise WeftError for what this kind of cluster does not support or lacks."""
    kind, mode, settings = submission.kind, submission.mode, submission.user_settings
    if kind == "local":
        raise WeftError(f"--master {submission.master} is no cluster: use `weft run` on this machine")
    if mode not in ("client", "cluster"):
        raise WeftError(f"--deploy-mode {mode}: write client or cluster")
    if kind == "standalone" and mode == "cluster":
        raise WeftError("a standalone cluster runs Python drivers only in client mode: leave out --deploy-mode")
    if kind == "yarn" and not (os.environ.get("HADOOP_CONF_DIR") or os.environ.get("YARN_CONF_DIR")):
        raise MissingError(
            "yarn needs its configuration: export HADOOP_CONF_DIR=/etc/hadoop/conf, the folder of yarn-site.xml"
        )
    if kind == "k8s" and IMAGE not in settings:
        raise MissingError(f"Kubernetes needs a container image with Spark and Java: --conf {IMAGE}=REGISTRY/IMAGE:TAG")
    if kind == "k8s" and mode == "cluster" and UPLOAD not in settings:
        raise MissingError(
            f"cluster mode needs a store through which the pods get local files: --conf {UPLOAD}=s3a://BUCKET/PATH"
        )
    _check_environment(submission)


def _check_environment(submission: Submission) -> None:
    given = submission.environment
    if given is None or "://" in given:
        return
    if not Path(given).is_file():
        raise PathError(f"--environment {given}: no such file; `make package` makes dist/environment.tar.gz")
    if not given.endswith((".tar.gz", ".tgz", ".zip", ".tar")):
        raise PathError(f"--environment {given}: Spark unpacks .tar.gz, .tgz, .tar and .zip")


def compose(submission: Submission, spark: Path) -> list[str]:
    """Return the command: spark-submit, its options, the script and the run's arguments."""
    options = ["--master", submission.master, "--deploy-mode", submission.mode]
    if submission.environment is not None:
        options += ["--archives", f"{_address(submission.environment)}#{ENVIRONMENT}"]
    if submission.shipped:
        options += ["--files", ",".join(map(_address, submission.shipped))]
    ours = {**_pythons(submission), **submission.sizes.settings(submission.kind)}
    if submission.mode == "cluster":  # a driver here inherits the variable
        ours[SAFE_PATH[submission.kind]] = "1"
        ours |= ONE_ATTEMPT if submission.kind == "yarn" else {}
    ours = {key: value for key, value in ours.items() if key not in submission.user_settings}
    settings = {**ours, **NO_SPECULATION, **submission.conf}
    options += [part for key, value in sorted(settings.items()) for part in ("--conf", f"{key}={value}")]
    return [str(spark / "bin" / "spark-submit"), *options, str(files("jobs") / "main.py"), *submission.arguments]


def _pythons(submission: Submission) -> dict[str, str]:
    """Return the Python of driver and executors; a driver in client mode uses this one."""
    own = "python3" if submission.kind == "k8s" else sys.executable
    executors = own if submission.environment is None else PYTHON
    return {EXECUTOR_PYTHON: executors, DRIVER_PYTHON: sys.executable if submission.mode == "client" else executors}


def _address(path: str) -> str:
    """Escape a path or address for Spark's file lists, where commas separate files and # starts a fragment."""
    if "://" in path:
        return path
    absolute = Path(path).absolute()
    address = absolute.as_uri().replace(",", "%2C")
    return str(absolute) if address == f"file://{absolute}" else address


_STOP_SECONDS = 30  # a driver needs at most 20
_LOGS = {"yarn": "yarn logs -applicationId ID", "k8s": "kubectl logs POD"}  # Spark has printed the name


@dataclass(frozen=True)
class SubmitRequest:
    """The arguments of `weft submit`."""

    inputs: tuple[str, ...]
    output: str
    master: str
    environment: str | None
    deploy_mode: str | None
    conf: tuple[str, ...]
    executors: int | None
    executor_cores: int
    gpus_per_executor: int
    gpu_discovery: str | None
    recipe: str
    assignments: tuple[str, ...]
    overwrite: bool
    first: str | None = None
    last: str | None = None


def send(request: SubmitRequest, dry_run: bool) -> int:
    """Check the arguments, then run spark-submit and return its exit status, or print its command line.

    Raises: WeftError for wrong or missing arguments.
    """
    from jobs.fetch import check_contact

    check_master(request.master)
    recipe = recipes.load(request.recipe, list(request.assignments))
    check_contact(recipe)
    spark = home()
    submission = _submission(request, recipe, defaults(spark))
    check(submission)
    for warning in _warnings(request, submission):
        print(f"weft: {message(warning)}", file=sys.stderr)
    command = compose(submission, spark)
    if dry_run:
        shown = redact(shlex.join(command))
        if shown != shlex.join(command):
            print(f"weft: credentials are shown as {MASK}: replace them before use", file=sys.stderr)
        print(printable(shown, lines=True))
        return 0
    check_java()
    on_cluster = continuing("the driver keeps running on the cluster; stop it with the cluster's own commands")
    with on_cluster if submission.mode == "cluster" else resuming(request.overwrite):
        status = _wait(spark_environment(submission, spark), command)
    if status and submission.mode == "cluster":
        logs = _LOGS[submission.kind]
        print(f"weft: the run failed; if it began on the cluster, the driver's log says why: {logs}", file=sys.stderr)
    return status


def spark_environment(submission: Submission, spark: Path) -> dict[str, str]:
    """Return the environment of spark-submit, which passes PYTHONPATH on to a driver on the cluster: leave it out."""
    variables = {**os.environ, **java_environment(), "SPARK_HOME": str(spark)}
    if submission.mode == "cluster":
        variables.pop("PYTHONPATH", None)
    return variables


def _wait(environment: dict[str, str], command: list[str]) -> int:
    """Run a command in a new process session and return its exit status.

    A signal is passed on to all processes of the session, the driver included, and raised once they have ended.
    """
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        status = process.wait()
    except Interrupted as interrupted:
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(process.pid, interrupted.number)
            deadline = time.monotonic() + _STOP_SECONDS
            while time.monotonic() < deadline:
                process.poll()  # otherwise a zombie would count as running
                os.killpg(process.pid, 0)
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return status if status >= 0 else 128 - status


def _submission(request: SubmitRequest, recipe: Recipe, found: dict[str, str]) -> Submission:
    archives = count_archives(request.inputs)
    num_bytes = archives.num_bytes(shipped_rates()["archive.bytes"].value or 0.0)
    sizes = Sizes(archives.num, num_bytes, recipe.clip.enabled, request.executor_cores, request.executors,
                  request.gpus_per_executor, request.gpu_discovery)  # fmt: skip
    bare = Submission(request.master, request.deploy_mode, request.environment, _settings(request.conf), sizes,
                      defaults=found)  # fmt: skip
    name, files = _recipe(request.recipe, bare.mode)
    arguments = ["--recipe", name, "--output", _absolute(request.output)]
    arguments += [part for assignment in request.assignments for part in ("--set", assignment)]
    arguments += ["--overwrite"] * request.overwrite
    arguments += [part for option, step in (("--from", request.first), ("--until", request.last)) if step
                  for part in (option, step)]  # fmt: skip
    if request.first in (None, "extract"):
        arguments += [_absolute(name) for name in request.inputs]
    return Submission(bare.master, bare.deploy_mode, bare.environment, bare.conf, sizes, arguments, files, found)


def _recipe(name: str, mode: str) -> tuple[str, tuple[str, ...]]:
    """Return a recipe's name for the driver, and the files to ship to it."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        return name, ()
    return (path.name, (str(path.absolute()),)) if mode == "cluster" else (str(path.absolute()), ())


def _settings(given: tuple[str, ...]) -> dict[str, str]:
    for setting in given:
        if "=" not in setting or not setting.startswith("spark."):
            raise WeftError(f"--conf {setting}: write it as spark.KEY=VALUE")
    return {key: value for key, _, value in (setting.partition("=") for setting in given)}


def _warnings(request: SubmitRequest, submission: Submission) -> list[str]:
    """Return warnings about arguments that are valid but usually mistakes."""
    found = []
    if "://" not in request.output or request.output.startswith("file://"):
        found.append(f"--output {request.output} is a local path: it must be a folder that all nodes share, e.g. NFS")
    if any("://" not in name for name in request.inputs):
        found.append("inputs are local paths: every node must have them at the same path")
    if request.environment is None and submission.kind != "k8s":
        found.append(f"without --environment every node needs Weft in {sys.executable}")
    return found


def _absolute(name: str) -> str:
    return name if "://" in name else str(Path(name).absolute())
