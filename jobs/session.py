"""Start Spark, or say in one line what it lacks."""

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

from jobs.progress import console
from pipeline.io.store import Store
from schemas.display import ADDRESS_USER, SPARK_PROPERTIES, printable
from schemas.errors import MissingError, WeftError
from schemas.program import noting

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MIN_JAVA = 17
EVENTS = "_events"  # of an output: Spark's own log of every run on it
MAX_TASK_FAILURES = 4  # spark.task.maxFailures, which does not hold for a local master
_COLLECTOR = "-XX:+UseParallelGC"  # nobody waits for a batch job's pauses: work done counts (0017)
# Python does the work: Java's second compiler would take as much time again as it saves. Without it Java has 48 MB for
# code, which the steps of a run fill, and then it may end: so it gets what Java has for both (0017).
QUICK_COMPILER = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
_NO_COUNTERS = "-XX:-UsePerfData"  # which Java keeps in /tmp, whatever its folder for temporary files is
_STOP_SECONDS = 10  # for Spark to stop, and then for Java to end, when the process is to end
_MEMORY = {"driver": "3g", "executor": ""}  # of a local master, ours; of executors, what the cluster's settings say
_PREAMBLE = re.compile(
    r"Picked up _?JAVA\w*OPTIONS|NOTE: Picked up |WARNING: Using incubator modules|Using Spark's default log4j profile"
    r"|Setting (default|Spark) log level|To adjust logging level"
)
_REMEDY = f"Java {MIN_JAVA} or newer is needed; on Debian: apt install openjdk-17-jre-headless"


def check_master(master: str | None) -> None:
    """Raise WeftError unless a Spark master is of a kind that Spark knows; None takes the default."""
    if master is not None and not re.match(r"local(\[|$)|yarn$|(spark|k8s)://", master):
        raise WeftError(f"--master {master}: write local[2], spark://HOST:7077, yarn or k8s://...")


def check_java() -> None:
    """Raise MissingError unless a new enough Java is on the PATH or in JAVA_HOME."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
    if java is None:
        raise MissingError(f"no Java was found. {_REMEDY}")
    answer = subprocess.run([java, _NO_COUNTERS, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', answer)
    if version is None or int(version[1]) < MIN_JAVA:
        raise MissingError(f"{java} is {answer.splitlines()[0] if answer else 'of no known version'}. {_REMEDY}")


def java_environment() -> dict[str, str]:
    """Return variables by which the Java that spark-submit starts keeps its temporary files where Python keeps its own.

    Spark's scratch is among these files. SPARK_SUBMIT_OPTS is read as a shell reads words; what it says already is said
    last, and wins. A folder with a comma in its name is left out: Spark would take it for two.
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
    """Have what is started in the block find these variables."""
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
    """Return the session of a caller who started one (a notebook, a test), or None."""
    from pyspark.sql import SparkSession

    session: SparkSession | None = SparkSession.getActiveSession()
    return session


@contextmanager
def using(master: str | None = None, output: Store | None = None) -> "Iterator[SparkSession]":
    """Yield the session of a caller who started one, or else one that ends with the block. Args: as of `start`."""
    running = active()
    try:
        with console.status("starting Spark"):  # seconds, in which nothing else would be seen
            spark = running or start(master, output)
        yield spark
    except Exception as error:
        if _java_ended(error):
            raise WeftError(
                "Java, in which Spark's driver runs, was ended, perhaps for want of memory: leave it more, or take "
                "fewer cores, as --master 'local[2]'; the same command goes on from here"
            ) from error
        if running is None and (started := active()) is not None:  # none where the start itself failed
            started.stop()
        raise
    except KeyboardInterrupt:
        if running is None:
            _shut_down()
        else:
            running.sparkContext.cancelAllJobs()  # as pyspark does itself, where its handler can
        raise
    if running is None:
        spark.stop()


def _shut_down() -> None:
    """Stop Spark and end its Java, with every worker, in the middle of whatever they do."""
    from pyspark import SparkContext

    context, gateway = SparkContext._active_spark_context, SparkContext._gateway

    def stop() -> None:
        with suppress(Exception):  # Java may have been asked to end too
            if context is not None:
                context.setLogLevel("OFF")  # of what is cut off
                context.stop()

    stopping = threading.Thread(target=stop, daemon=True)
    stopping.start()
    stopping.join(_STOP_SECONDS)
    process: subprocess.Popen[bytes] | None = getattr(gateway, "proc", None)
    if process is None:  # of spark-submit, which waits for this process and then ends by itself
        return
    assert process.stdin
    with suppress(OSError):
        process.stdin.close()  # at which Java ends, and then its Python workers
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _java_ended(error: Exception) -> bool:
    """Tell whether the Java that pyspark started is gone, given what was raised in Python."""
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

    What spark-submit or spark-defaults.conf set stays. Without any master it is `local[*]`. In EVENTS of the output
    Spark's event log is kept, from which its history server shows a finished run; an object store gets none, since
    Spark may not be able to write to it.
    Raises: MissingError when Java is missing or too old.
    """
    check_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    if "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit has started the JVM: its settings are to be seen first
        SparkContext._ensure_initialized()
    conf = SparkConf()
    conf.setMaster(_with_retries(master or conf.get("spark.master") or "local[*]"))
    memory = {key: str(conf.get(f"spark.{key}.memory", default)) for key, default in _MEMORY.items()}
    for key, value in _settings(str(conf.get("spark.master")), memory).items():
        conf.setIfMissing(key, value)
    if output and output.local:
        output.fs.makedirs(output.at(EVENTS), exist_ok=True)
        for key, value in {"enabled": "true", "dir": Path(output.at(EVENTS)).as_uri(), "compress": "true"}.items():
            conf.setIfMissing(f"spark.eventLog.{key}", value)
    if SparkContext._gateway is None:  # in a session of its own, Java outlives a terminal's Ctrl-C: we end it in order
        reader, writer = os.pipe()
        threading.Thread(target=_forward, args=(reader,), name="java-stderr", daemon=True).start()
        with noting() as received:  # a Java whose start is cut off would run on for ever
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
        # pyspark's own handler cancels by the connection that the main thread waits at, which cannot be done
        signal.signal(signal.SIGINT, on_interrupt)
    return session


def _forward(descriptor: int) -> None:
    """Pass on what Java writes to standard error, until it ends, without what it says of itself at every start."""
    with open(descriptor, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not _PREAMBLE.match(line):
                with suppress(OSError, ValueError):  # nobody reads any more; Java must not wait for that
                    console.print(Text(printable(line.rstrip("\n"))), soft_wrap=True)


def _with_retries(master: str) -> str:
    """Let a local task fail as often as a cluster's, so that a worker that dies ends no run."""
    return re.sub(r"^local(?:\[([^,\]]+)\])?$", lambda m: f"local[{m[1] or 1},{MAX_TASK_FAILURES}]", master)


def check_reach(spark: "SparkSession", address: str) -> None:
    """Raise MissingError unless Spark has a connector for an address as it takes it: file://, s3a://, ..."""
    from py4j.protocol import Py4JJavaError

    scheme = address.partition("://")[0]
    java = spark.sparkContext._jvm
    assert java is not None
    try:
        java.org.apache.hadoop.fs.FileSystem.getFileSystemClass(scheme, java.org.apache.hadoop.conf.Configuration())
    except Py4JJavaError as error:
        raise MissingError(
            f"this Spark cannot write to {scheme}://, it lacks the connector (for s3a, hadoop-aws: docs/cluster.md); "
            "extract alone needs none"
        ) from error


def _settings(master: str, memory: dict[str, str]) -> dict[str, str]:
    settings = {
        "spark.app.name": "weft",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.redaction.regex": SPARK_PROPERTIES,  # in its event log and its pages
        "spark.redaction.string.regex": ADDRESS_USER,  # in the paths of its plans
        "spark.ui.showConsoleProgress": "false",  # jobs/progress.py draws a better one
        # Rows that carry images are large; small Arrow batches bound the memory of a Python worker.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
        # Python's work on a row is long: tasks of a quarter of Spark's size leave no core idle at a stage's end.
        "spark.sql.files.maxPartitionBytes": "32m",
        # A worker is started as a module, for which Python would look in the working directory first.
        "spark.executorEnv.PYTHONSAFEPATH": "1",
        # Torch and BLAS would start as many threads in each worker as the machine has cores.
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "spark.executor.extraJavaOptions": f"{_COLLECTOR} {_whole_heap(memory['executor'])}",
    }
    if master.startswith("local"):
        logging = f"-Dlog4j2.configurationFile={files('jobs') / 'log4j2.properties'}"
        heap = "" if "PYSPARK_SUBMIT_ARGS" in os.environ else _whole_heap(memory["driver"])  # they may bound it, too
        settings |= {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": memory["driver"],
            "spark.driver.extraJavaOptions": f"{logging} {_COLLECTOR} {heap} {QUICK_COMPILER}",
            "spark.sql.shuffle.partitions": str(max(2, os.cpu_count() or 2)),
            "spark.ui.enabled": "false",
        }
    return settings


def _whole_heap(memory: str) -> str:
    """Return the option for a heap of its full size from the start: one that grows is collected whole each time."""
    return f"-Xms{memory}" if re.fullmatch(r"\d+[mMgG]", memory) else ""
