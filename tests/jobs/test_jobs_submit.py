"""`weft submit`: the command for each kind of cluster, early errors, and a real run."""

import os
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from clusters import SUBMIT_OPTIONS, executors
from runs import BIN, ROOT, run_arguments, running, sums, tree_of, wait_for, wait_until_gone, weft
from webs import Web

from jobs.submit import Sizes, Submission, spark_environment
from pipeline.io.run_lock import CLAIM
from tests.sampleweb.cluster import Cluster

CONTACT = ("--set", "fetch.contact=mailto:crawl@weft.example")
SCRIPT = str(ROOT / "jobs" / "main.py")
IMAGE = ("--conf", "spark.kubernetes.container.image=registry.example/spark:4")
UPLOAD = ("--conf", "spark.kubernetes.file.upload.path=s3a://bucket/sent")


@pytest.fixture
def archives(tmp_path: Path) -> list[str]:
    """Nine sparse archives of 2 GB in total; only their sizes matter."""
    for number in range(9):
        with (tmp_path / f"{number}.warc").open("wb") as f:
            f.truncate(2_000_000_000 // 9)
    return sorted(map(str, tmp_path.glob("*.warc")))


@pytest.fixture
def environment(tmp_path: Path) -> str:
    path = tmp_path / "environment.tar.gz"
    path.write_bytes(b"")
    return str(path)


@pytest.fixture
def spark_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Spark that is only a script: it prints its arguments and exits with status 7."""
    home = tmp_path / "spark"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "spark-submit").write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    (home / "bin" / "spark-submit").chmod(0o755)
    monkeypatch.setenv("SPARK_HOME", str(home))
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    return home


DRIVER = f"""#!{sys.executable}
import os, signal, sys, time
from pathlib import Path

is_child = os.fork() == 0

def end(*_):
    time.sleep(2 if is_child else 1)
    print("its child ended" if is_child else "driver ended", flush=True)
    os._exit(1)

signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
if is_child:
    Path(__file__ + ".started").touch()
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("mode", "number", "remedy"),
    [
        ("client", signal.SIGINT, "run the same command to continue"),
        ("cluster", signal.SIGTERM, "the driver keeps running on the cluster; stop it with the cluster's own commands"),
    ],
)
def test_a_signal_is_forwarded_to_the_driver(
    spark_home: Path, archives: list[str], monkeypatch: pytest.MonkeyPatch, mode: str, number: signal.Signals,
    remedy: str,
) -> None:  # fmt: skip
    submit = spark_home / "bin" / "spark-submit"
    submit.write_text(DRIVER)
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop")
    process = subprocess.Popen(
        [BIN / "weft", "submit", "--master", "yarn", "--deploy-mode", mode, *CONTACT, "--output", "s3://b/out",
         "--environment", "s3://b/environment.tar.gz", *archives],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    wait_for(submit.with_name("spark-submit.started").exists, process)
    process.send_signal(number)
    said, warned = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, "driver ended\nits child ended\n")
    assert warned.splitlines()[-1] == f"weft: interrupted by {number.name}; {remedy}"


def line(*arguments: str) -> str:
    done = weft("submit", "--dry-run", "--recipe", "kosmos1", *CONTACT, "--output", "s3://b/out", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(*arguments: str) -> str:
    done = weft("submit", "--recipe", "kosmos1", *CONTACT, "--output", "s3://b/out", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (said,) = done.stderr.strip().splitlines()
    return said


def test_a_standalone_cluster(archives: list[str], environment: str, spark_home: Path) -> None:
    # 9 archives keep 3 executors of 4 cores busy; 3 partitions for each of their cores. CLIP is on: 2 GB of Python
    assert line("--master", "spark://h:7077", "--environment", environment, *archives) == (
        f"{spark_home}/bin/spark-submit --master spark://h:7077 --deploy-mode client"
        f" --archives '{environment}#environment'"
        " --conf spark.driver.maxResultSize=2048m --conf spark.driver.memory=4097m"
        " --conf spark.executor.cores=4 --conf spark.executor.memory=8192m --conf spark.executor.memoryOverhead=8192m"
        f" --conf spark.pyspark.driver.python={sys.executable} --conf spark.pyspark.python=./environment/bin/python"
        f" --conf spark.speculation=false --conf spark.sql.shuffle.partitions=36 {SCRIPT} --recipe kosmos1 --output s3://b/out"
        f" --set fetch.contact=mailto:crawl@weft.example {' '.join(archives)}"
    )


@pytest.mark.parametrize(
    ("options", "names_archives"),
    [(["--until", "dedup"], True), (["--from", "score", "--until", "score"], False), (["--from", "extract"], True)],
)
def test_a_part_of_the_steps(archives: list[str], environment: str, options: list[str], names_archives: bool) -> None:
    """Archives size the executors of any step, and are given to the driver if it extracts."""
    sent = line("--master", "spark://h:7077", "--environment", environment, *options, *archives)
    assert " ".join(options) in sent and "spark.sql.shuffle.partitions=36" in sent
    assert sent.endswith(" ".join(archives) if names_archives else " ".join(options))


def test_files_of_any_name_are_sent(
    archives: list[str], tmp_path: Path, spark_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop/conf")
    folder = tmp_path / "a b%20,#ü"
    folder.mkdir()
    environment, recipe = folder / "environment.tar.gz", folder / "own.yaml"
    environment.write_bytes(b"")
    recipe.write_text("extends: kosmos1\nname: own\n")
    address = f"file://{tmp_path}/a%20b%2520%2C%23%C3%BC"  # RFC 3986, section 2.1; Spark separates files by comma
    options = ("--master", "yarn", "--deploy-mode", "cluster", "--environment", str(environment))
    said = line(*options, "--recipe", str(recipe), archives[0])
    assert f"--archives '{address}/environment.tar.gz#environment' --files {address}/own.yaml" in said
    assert " --recipe own.yaml " in said


def test_yarn_without_clip(archives: list[str], spark_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop/conf")
    options = ("--master", "yarn", "--deploy-mode", "cluster", "--environment", "s3a://b/e.tar.gz", "--overwrite")
    sizes = ("--executors", "20", "--executor-cores", "8", "--set", "clip.enabled=false")
    assert line(*options, *sizes, archives[0]) == (
        f"{spark_home}/bin/spark-submit --master yarn --deploy-mode cluster --archives 's3a://b/e.tar.gz#environment'"
        " --conf spark.driver.maxResultSize=2048m --conf spark.driver.memory=4096m"
        " --conf spark.executor.cores=8 --conf spark.executor.instances=20"
        " --conf spark.executor.memory=16384m --conf spark.executor.memoryOverhead=8192m"
        " --conf spark.pyspark.driver.python=./environment/bin/python"
        " --conf spark.pyspark.python=./environment/bin/python --conf spark.speculation=false"
        " --conf spark.sql.shuffle.partitions=480 --conf spark.yarn.appMasterEnv.PYTHONSAFEPATH=1"
        " --conf spark.yarn.maxAppAttempts=1"
        f" {SCRIPT} --recipe kosmos1 --output s3://b/out --set fetch.contact=mailto:crawl@weft.example"
        f" --set clip.enabled=false --overwrite {archives[0]}"
    )


def test_kubernetes_with_gpus(archives: list[str], spark_home: Path) -> None:
    master = ("--master", "k8s://https://h:6443", *IMAGE, *UPLOAD, "--gpus-per-executor", "2")
    assert line(*master, archives[0]) == (
        f"{spark_home}/bin/spark-submit --master k8s://https://h:6443 --deploy-mode cluster"
        " --conf spark.driver.maxResultSize=2048m --conf spark.driver.memory=4096m"
        " --conf spark.executor.cores=4 --conf spark.executor.instances=1"
        " --conf spark.executor.memory=8192m --conf spark.executor.memoryOverhead=8192m"
        " --conf spark.executor.resource.gpu.amount=2 --conf spark.executor.resource.gpu.vendor=nvidia.com"
        " --conf spark.kubernetes.container.image=registry.example/spark:4"
        " --conf spark.kubernetes.driverEnv.PYTHONSAFEPATH=1"
        " --conf spark.kubernetes.file.upload.path=s3a://bucket/sent"
        " --conf spark.pyspark.driver.python=python3 --conf spark.pyspark.python=python3"
        " --conf spark.speculation=false --conf spark.sql.shuffle.partitions=16"
        f" {SCRIPT} --recipe kosmos1 --output s3://b/out --set fetch.contact=mailto:crawl@weft.example {archives[0]}"
    )


@pytest.mark.parametrize(("mode", "is_passed"), [("client", True), ("cluster", False)])
def test_a_driver_on_the_cluster_does_not_get_this_path(
    mode: str, is_passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/only/here")
    found = spark_environment(Submission("yarn", mode, None, {}, Sizes(1, 1, clip=False)), Path("/opt/spark"))
    assert ("PYTHONPATH" in found) == is_passed and found["SPARK_HOME"] == "/opt/spark"


def test_settings_of_the_user_win(archives: list[str], spark_home: Path) -> None:
    (spark_home / "conf").mkdir()
    defaults = "# ours\nspark.executor.memory   5g\nspark.sql.shuffle.partitions=7\nspark.speculation true\n"
    (spark_home / "conf" / "spark-defaults.conf").write_text(defaults)
    said = shlex.split(line("--master", "spark://h:7077", "--conf", "spark.executor.cores=3", archives[0]))
    assert "spark.executor.cores=3" in said
    assert "spark.speculation=false" in said, "a site must not be asked twice because a cluster speculates by default"
    assert not [word for word in said if word.startswith(("spark.executor.memory=", "spark.sql.shuffle.partitions"))]


@pytest.mark.parametrize(("num_archives", "megabytes"), [(0, 4_096), (8_000, 5_096), (90_000, 15_346), (10**6, 16_384)])
def test_the_driver_grows_with_the_archives(num_archives: int, megabytes: int) -> None:
    settings = Sizes(num_archives, 0, clip=False).settings("yarn")
    assert settings["spark.driver.memory"] == f"{megabytes}m"
    assert settings["spark.driver.maxResultSize"] == f"{megabytes // 2}m"


def test_a_recipe_file_is_sent_to_a_remote_driver(
    archives: list[str], spark_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop/conf")
    (tmp_path / "mine.yaml").write_text("extends: everything\nname: mine\n")
    options = ("--master", "yarn", "--recipe", str(tmp_path / "mine.yaml"), archives[0])
    here, there = (shlex.split(line(*options, *more)) for more in ((), ("--deploy-mode", "cluster")))
    assert str(tmp_path / "mine.yaml") in here and "--files" not in here
    assert there[there.index("--files") + 1] == str(tmp_path / "mine.yaml")
    assert there[there.index("--recipe") + 1] == "mine.yaml"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--master", "yarn"), ("HADOOP_CONF_DIR=",)),
        (("--master", "k8s://https://h:6443"), ("spark.kubernetes.container.image=",)),
        (("--master", "k8s://https://h:6443", *IMAGE), ("spark.kubernetes.file.upload.path=",)),
        (("--master", "spark://h:7077", "--deploy-mode", "cluster"), ("client",)),
        (("--master", "spark://h:7077", "--environment", "none.tar.gz"), ("none.tar.gz", "make package")),
        (("--master", "spark://h:7077", "--conf", "memory=1g"), ("--conf memory=1g", "spark.KEY=VALUE")),
        (("--master", "spark://h:7077", "--set", "sed=1"), ("did you mean seed",)),
        (("--master", "local[2]"), ("weft run",)),
        (("--master", "h:7077"), ("spark://HOST:7077",)),
    ],
)
def test_errors_give_one_line(
    options: tuple[str, ...], words: tuple[str, ...], archives: list[str], spark_home: Path
) -> None:
    said = refused(*options, archives[0])
    for word in words:
        assert word in said


def test_a_missing_input(spark_home: Path, tmp_path: Path) -> None:
    assert "none.warc" in refused("--master", "spark://h:7077", str(tmp_path / "none.warc"))


def test_a_local_output_gives_a_warning_and_the_exit_status_is_returned(archives: list[str], spark_home: Path) -> None:
    done = weft("submit", "--master", "spark://h:7077", "--recipe", "kosmos1", *CONTACT, "-o", "out", archives[0])
    assert done.returncode == 7  # what the script that stands for spark-submit exits with
    assert "--output out is a local path" in done.stderr
    assert str(Path.cwd() / "out") in shlex.split(done.stdout)


def test_the_wheel_contains_every_file_of_the_packages(tmp_path: Path) -> None:
    packages = ("schemas", "filters", "pipeline", "jobs", "trainer", "sample")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *packages]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    tree = {f for f in files if (ROOT / f).exists()}
    for file in ("pyproject.toml", "README.md", "LICENSE", *tree):
        (tmp_path / "tree" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / file).write_bytes((ROOT / file).read_bytes())
    build = f"from setuptools import build_meta; print(build_meta.build_wheel({str(tmp_path)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", build], cwd=tmp_path / "tree", capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(tmp_path / built.stdout.splitlines()[-1]) as wheel:
        carried = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
        wheel.extractall(tmp_path / "site-packages")
    assert carried == tree - {"tests/sampleweb/README.md"}

    # spark-submit runs the script where it lies: what lies beside it must not hide the standard library's modules
    (tmp_path / "site-packages" / "dataclasses.py").write_text("raise RuntimeError('of a distribution of that name')")
    script = [sys.executable, str(tmp_path / "site-packages" / "jobs" / "main.py"), "--help"]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_submitted_run_makes_the_same_shards(
    small_web: Web, reference: dict[str, str], cluster: Cluster, tmp_path: Path
) -> None:
    settings = [*SUBMIT_OPTIONS, "--conf", "spark.executor.memoryOverhead=512m"]
    options = ("--master", cluster.url, *settings, *run_arguments(small_web, tmp_path / "out")[1:])
    done = weft("submit", *options, SPARK_LOCAL_IP="127.0.0.1")
    assert done.returncode == 0, done.stderr[-3_000:]
    assert sums(tmp_path / "out") == reference


@pytest.mark.slow
@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_signal_ends_a_submitted_run(
    small_web: Web, cluster: Cluster, tmp_path: Path, number: signal.Signals, group: bool
) -> None:
    output = tmp_path / "out"
    settings = [*SUBMIT_OPTIONS, "--conf", "spark.executor.memoryOverhead=512m"]
    options = ["submit", "--master", cluster.url, *settings, *run_arguments(small_web, output)[1:]]
    with running(output, options, SPARK_LOCAL_IP="127.0.0.1") as run:
        wait_for(lambda: run.works_on("extract") and bool(executors(cluster)), run.process)
        of_run = [*tree_of(run.process.pid), *executors(cluster)]
        if group:  # as a terminal does
            os.killpg(run.process.pid, number)
        else:
            run.process.send_signal(number)
        assert run.end() == 128 + number, run.log()
        wait_until_gone(of_run)
    said = [line for line in run.said if "interrupted" in line]
    assert said == [f"weft: interrupted by {number.name}; run the same command to continue\n"], run.log()
    assert run.said[-1] == said[0]
    assert not [line for line in run.said if "Traceback" in line or " ERROR " in line], run.log()
    assert not (output / f"{CLAIM}.json").exists()
    assert not (output / "pages" / "_manifest.json").exists()
