"""Put a run on a cluster: the line of spark-submit that sends it, and what can be wrong with it before Spark starts."""

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from jobs.sizing import Sizes
from schemas.errors import MissingError, PathError, WeftError

ENVIRONMENT = "environment"  # the folder in which a node unpacks the archive
PYTHON = f"./{ENVIRONMENT}/bin/python"
UPLOAD = "spark.kubernetes.file.upload.path"
IMAGE = "spark.kubernetes.container.image"
EXECUTOR_PYTHON, DRIVER_PYTHON = "spark.pyspark.python", "spark.pyspark.driver.python"


@dataclass(frozen=True)
class Submission:
    """What is sent where. environment is the packed one, a path or an address; None: Weft is on every node already.

    deploy_mode None takes what the kind of cluster is for: `cluster` on Kubernetes, else `client`.
    conf are a person's settings, which win; arguments are those of `weft run`.
    """

    master: str
    deploy_mode: str | None
    environment: str | None
    conf: Mapping[str, str]
    sizes: Sizes
    arguments: Sequence[str] = ()
    shipped: Sequence[str] = ()  # further files that the driver needs beside it
    defaults: Mapping[str, str] = field(default_factory=dict)  # of spark-defaults.conf, which yield to nothing but conf

    @property
    def kind(self) -> str:
        """Return which scheduler it is: standalone, yarn, k8s or local."""
        start = self.master.partition(":")[0].partition("[")[0]
        return {"spark": "standalone", "yarn": "yarn", "k8s": "k8s"}.get(start, "local")

    @property
    def mode(self) -> str:
        """Return where the driver runs: with this command (client), or on the cluster."""
        return self.deploy_mode or ("cluster" if self.kind == "k8s" else "client")

    @property
    def settled(self) -> dict[str, str]:
        """Return what a person has set, here or in spark-defaults.conf."""
        return {**self.defaults, **self.conf}


def home() -> Path:
    """Return the Spark that submits: SPARK_HOME's, else that of the pyspark which pip installed.

    Raises: MissingError when there is neither.
    """
    named = os.environ.get("SPARK_HOME")
    found = importlib.util.find_spec("pyspark")
    folder = Path(named) if named else Path(found.origin).parent if found and found.origin else None
    if folder is None or not (folder / "bin" / "spark-submit").is_file():
        raise MissingError(
            f"no spark-submit in {named or 'pyspark'}: set SPARK_HOME to a Spark, or pip install 'weft[pipeline]'"
        )
    return folder


def defaults(spark: Path) -> dict[str, str]:
    """Return what spark-defaults.conf sets, of SPARK_CONF_DIR or of the Spark that submits."""
    path = Path(os.environ.get("SPARK_CONF_DIR") or spark / "conf") / "spark-defaults.conf"
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
    pairs = [line.replace("=", " ", 1).split(None, 1) for line in lines if line and not line.startswith("#")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def check(submission: Submission) -> None:
    """Raise in one line, with the remedy, what this kind of cluster cannot do or lacks."""
    kind, mode, settled = submission.kind, submission.mode, submission.settled
    if kind == "local":
        raise WeftError(f"--master {submission.master} is no cluster: `weft run` runs on this machine")
    if mode not in ("client", "cluster"):
        raise WeftError(f"--deploy-mode {mode}: write client or cluster")
    if kind == "standalone" and mode == "cluster":
        raise WeftError("a standalone cluster takes Python drivers in client mode alone: leave --deploy-mode out")
    if kind == "yarn" and not (os.environ.get("HADOOP_CONF_DIR") or os.environ.get("YARN_CONF_DIR")):
        raise MissingError(
            "yarn is found by its configuration: export HADOOP_CONF_DIR=/etc/hadoop/conf, the folder of yarn-site.xml"
        )
    if kind == "k8s" and IMAGE not in settled:
        raise MissingError(f"Kubernetes needs a container image with Spark and Java: --conf {IMAGE}=REGISTRY/IMAGE:TAG")
    if kind == "k8s" and mode == "cluster" and UPLOAD not in settled:
        raise MissingError(
            f"in cluster mode files of this machine go by a store that the pods read: --conf {UPLOAD}=s3a://BUCKET/PATH"
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
    settings = {**{k: v for k, v in ours.items() if k not in submission.settled}, **submission.conf}
    options += [part for key, value in sorted(settings.items()) for part in ("--conf", f"{key}={value}")]
    return [str(spark / "bin" / "spark-submit"), *options, str(files("jobs") / "main.py"), *submission.arguments]


def _pythons(submission: Submission) -> dict[str, str]:
    """Say which Python runs where: a driver in client mode is this one, and unpacks nothing."""
    own = "python3" if submission.kind == "k8s" else sys.executable
    executors = own if submission.environment is None else PYTHON
    return {EXECUTOR_PYTHON: executors, DRIVER_PYTHON: sys.executable if submission.mode == "client" else executors}


def _address(path: str) -> str:
    """Return a path or an address as Spark's lists of files take it: parts by comma, a fragment behind #."""
    if "://" in path:
        return path
    absolute = Path(path).absolute()
    address = absolute.as_uri().replace(",", "%2C")
    return str(absolute) if address == f"file://{absolute}" else address
