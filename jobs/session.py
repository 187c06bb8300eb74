"""Start and stop Spark, and check what it needs."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from jobs import connectors
from jobs.printing import progress_console as console
from pipeline.io.store import Store
from schemas.display import ADDRESS_USER, SPARK_PROPERTIES, printable
from schemas.errors import MissingError, WeftError
from schemas.program import noting

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MIN_JAVA = 17
EVENTS = "_events"  # of an output: Spark's event log of every run
MAX_TASK_FAILURES = 4  # spark.task.maxFailures, which a local master ignores
_COLLECTOR = "-XX:+UseParallelGC"  # throughput matters, pauses do not (0017)
# Python does the work, so Java's second compiler costs more time than it saves. With one compiler the code cache is
# only 48 MB, which the steps of a run fill, and Java may end: set the default size for two (0017).
QUICK_COMPILER = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
_NO_COUNTERS = "-XX:-UsePerfData"  # Java writes them to /tmp, whatever its temporary folder is
_STOP_SECONDS = 10  # for Spark to stop, and again for Java to end
_MEMORY = {"driver": "3g", "executor": ""}  # driver: default of a local master; executor: left to the cluster
_PREAMBLE = re.compile(
    r"Picked up _?JAVA\w*OPTIONS|NOTE: Picked up |WARNING: Using incubator modules|Using Spark's default log4j profile"
    r"|Setting (default|Spark) log level|To adjust logging level"
)
_REMEDY = f"Java {MIN_JAVA} or newer is needed; on Debian: apt install openjdk-17-jre-headless"


def check_master(master: str | None) -> None:
    """Raise WeftError unless Spark knows this kind of master; None means the default."""
    if master is not None and not re.match(r"local(\[|$)|yarn$|(spark|k8s)://", master):
        raise WeftError(f"--master {master}: write local[2], spark://HOST:7077, yarn or k8s://...")


def check_java() -> None:
    """Raise MissingError unless JAVA_HOME or the PATH has a Java of at least MIN_JAVA."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
    if java is None:
        raise MissingError(f"no Java found. {_REMEDY}")
    answer = subprocess.run([java, _NO_COUNTERS, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', answer)
    if version is None or int(version[1]) < MIN_JAVA:
        raise MissingError(f"{java} is {answer.splitlines()[0] if answer else 'of unknown version'}. {_REMEDY}")


def java_environment() -> dict[str, str]:
    """Return variables that make the Java of spark-submit use Python's temporary folder, for Spark's scratch too.

    SPARK_SUBMIT_OPTS is split as by a shell; existing options come last and win. A folder with a comma in its name is
    left out, since Spark would read it as two.
    """
    folder, options = tempfile.gettempdir(), os.environ.get("SPARK_SUBMIT_OPTS", "")
    ours = [_NO_COUNTERS] if "," in folder else [f"-Djava.io.tmpdir={shlex.quote(folder)}", _NO_COUNTERS]
    launcher = os.environ.get("SPARK_LAUNCHER_OPTS", "")
    return {
        "SPARK_SUBMIT_OPTS": " ".join([*ours, options]).rstrip(),
        "SPARK_LAUNCHER_OPTS": f"{_NO_COUNTERS} {launcher}".rstrip(),
    }


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def active() -> "SparkSession | None":
    """Return the active session, which the caller started (a notebook, a test), or None."""
    from pyspark.sql import SparkSession

    session: SparkSession | None = SparkSession.getActiveSession()
    return session


@contextmanager
def using(master: str | None = None, output: Store | None = None) -> "Iterator[SparkSession]":
    """Yield the active session, or a new one that ends with the block. Args: as for `start`."""
    running = active()
    try:
        with console.status("starting Spark"):  # takes seconds
            spark = running or start(master, output)
        yield spark
    except Exception as error:
        if _java_ended(error):
            raise WeftError(
                "the Java process of Spark's driver died, perhaps out of memory: free some memory or use fewer cores, "
                "e.g. --master 'local[2]', and run the same command again to continue"
            ) from error
        if running is None and (started := active()) is not None:  # None if the start failed
            started.stop()
        raise
    except KeyboardInterrupt:
        if running is None:
            _shut_down()
        else:
            running.sparkContext.cancelAllJobs()  # as pyspark's own handler does
        raise
    if running is None:
        spark.stop()


def _shut_down() -> None:
    """Stop Spark immediately, and end its Java process and all workers."""
    from pyspark import SparkContext

    context, gateway = SparkContext._active_spark_context, SparkContext._gateway

    def stop() -> None:
        with suppress(Exception):  # Java may be ending too
            if context is not None:
                context.setLogLevel("OFF")  # no messages about interrupted tasks
                context.stop()

    stopping = threading.Thread(target=stop, daemon=True)
    stopping.start()
    stopping.join(_STOP_SECONDS)
    process: subprocess.Popen[bytes] | None = getattr(gateway, "proc", None)
    if process is None:  # started by spark-submit, which ends after this process
        return
    assert process.stdin
    with suppress(OSError):
        process.stdin.close()  # Java then ends, and its Python workers with it
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _java_ended(error: Exception) -> bool:
    """Return whether the Java process of pyspark has ended, given the error raised in Python."""
    from py4j.protocol import Py4JNetworkError
    from pyspark import SparkContext

    process = getattr(SparkContext._gateway, "proc", None)
    is_lost = isinstance(error, (ConnectionError, EOFError, Py4JNetworkError))
    try:
        return process is not None and process.wait(5 if is_lost else 0) is not None
    except subprocess.TimeoutExpired:
        return False


def start(master: str | None = None, output: Store | None = None) -> "SparkSession":
    """Return a Spark session with the settings that a run needs.

    Settings of spark-submit and spark-defaults.conf win. The default master is `local[*]`. Spark's event log, for its
    history server, goes to EVENTS of a local output; not to an object store, which Spark may be unable to write to.
    Raises: MissingError when Java is missing or too old.
    """
    check_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    if "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit has started Java: read its settings first
        SparkContext._ensure_initialized()
    conf = SparkConf()
    conf.setMaster(_with_retries(master or conf.get("spark.master") or "local[*]"))
    memory = {key: str(conf.get(f"spark.{key}.memory", default)) for key, default in _MEMORY.items()}
    settings = _settings(str(conf.get("spark.master")), memory) | (connectors.settings(output.url()) if output else {})
    for key, value in settings.items():
        conf.setIfMissing(key, value)
    if output and output.local:
        output.fs.makedirs(output.at(EVENTS), exist_ok=True)
        for key, value in {"enabled": "true", "dir": Path(output.at(EVENTS)).as_uri(), "compress": "true"}.items():
            conf.setIfMissing(f"spark.eventLog.{key}", value)
    if SparkContext._gateway is None:  # a new process session, so Ctrl-C does not kill Java before we stop it in order
        reader, writer = os.pipe()
        threading.Thread(target=_forward, args=(reader,), name="java-stderr", daemon=True).start()
        with noting() as received:  # hold back signals: a Java interrupted while starting would never end
            try:
                with _environment(java_environment()):
                    gateway = launch_gateway(conf, {"start_new_session": True, "stderr": writer})  # type: ignore[no-untyped-call]
            finally:
                os.close(writer)
            SparkContext._ensure_initialized(gateway=gateway)
        if received.number:
            signal.raise_signal(received.number)
    on_interrupt = signal.getsignal(signal.SIGINT)
    session: SparkSession = SparkSession.builder.config(conf=conf).getOrCreate()
    if threading.current_thread() is threading.main_thread():
        # pyspark's own handler needs the connection that the main thread is waiting on, and fails
        signal.signal(signal.SIGINT, on_interrupt)
    return session


def _forward(descriptor: int) -> None:
    """Copy Java's standard error until it ends, without the lines that it prints at every start."""
    with open(descriptor, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not _PREAMBLE.match(line):
                with suppress(OSError, ValueError):  # our standard error is closed; keep reading, or Java would block
                    console.print(Text(printable(line.rstrip("\n"))), soft_wrap=True)


def _with_retries(master: str) -> str:
    """Allow a local task as many failures as on a cluster, so that a worker that dies does not end the run."""
    return re.sub(r"^local(?:\[([^,\]]+)\])?$", lambda m: f"local[{m[1] or 1},{MAX_TASK_FAILURES}]", master)


def _settings(master: str, memory: dict[str, str]) -> dict[str, str]:
    settings = {
        "spark.app.name": "weft",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.redaction.regex": SPARK_PROPERTIES,  # in the event log and UI
        "spark.redaction.string.regex": ADDRESS_USER,  # in the paths of query plans
        "spark.ui.showConsoleProgress": "false",  # jobs/progress.py shows progress
        # Rows with image bytes are large: small Arrow batches bound the memory of a Python worker.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
        # Rows take Python long: tasks of a quarter of Spark's default size keep all cores busy at the end of a stage.
        "spark.sql.files.maxPartitionBytes": "32m",
        # Workers are started with `python -m`, which would import from the working directory first.
        "spark.executorEnv.PYTHONSAFEPATH": "1",
        # By default Torch and BLAS start one thread per core of the machine in each worker.
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "spark.executor.extraJavaOptions": f"{_COLLECTOR} {_fixed_heap(memory['executor'])}",
    }
    if master.startswith("local"):
        logging = f"-Dlog4j2.configurationFile={files('jobs') / 'log4j2.properties'}"
        heap = "" if "PYSPARK_SUBMIT_ARGS" in os.environ else _fixed_heap(memory["driver"])  # which may limit it
        settings |= {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": memory["driver"],
            "spark.driver.extraJavaOptions": f"{logging} {_COLLECTOR} {heap} {QUICK_COMPILER}",
            "spark.sql.shuffle.partitions": str(max(2, os.cpu_count() or 2)),
            "spark.ui.enabled": "false",
        }
    return settings


def _fixed_heap(memory: str) -> str:
    """Return the option for a heap of full size from the start: each growth would cost a full collection."""
    return f"-Xms{memory}" if re.fullmatch(r"\d+[mMgG]", memory) else ""
