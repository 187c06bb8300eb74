"""The Java process of Spark's driver: its code cache, and the message when it is killed."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from runs import BIN, TIMEOUT_SECONDS, java_of, running, wait_for, wait_until_gone
from webs import Web

from jobs import session
from pipeline.io.run_lock import CLAIM

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_the_code_cache_is_large_enough_for_all_steps(spark: "SparkSession") -> None:
    java = spark.sparkContext._jvm
    assert java is not None
    pools = java.java.lang.management.ManagementFactory.getMemoryPoolMXBeans()
    of_code = [pool.getUsage().getMax() for pool in pools if pool.getName().startswith("Code")]
    assert sum(of_code) == 240 << 20, "what Java reserves by itself, where both of its compilers are on"


def test_java_is_killed(small_web: Web, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ["extract", "-r", "everything", "-o", str(output), "--master", "local[1]", *small_web.archives]
    process = subprocess.Popen([str(BIN / "weft"), *arguments], stderr=subprocess.PIPE, start_new_session=True)
    try:
        wait_for((output / "_config" / "extract.json").exists, process)
        (java,) = java_of(process.pid)
        os.kill(java, signal.SIGKILL)
        said = process.communicate(timeout=TIMEOUT_SECONDS)[1].decode()
    finally:
        with suppress(ProcessLookupError):  # Python workers see by themselves that Java is gone
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith("weft: the Java process of Spark's driver died")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_java_starts(small_web: Web, tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "out"
    arguments = ["extract", "-r", "everything", "-o", str(output), "--master", "local[1]", *small_web.archives]
    with running(output, arguments) as run:
        wait_for(lambda: bool(java_of(run.process.pid)), run.process)
        javas = java_of(run.process.pid)
        run.process.send_signal(number)
        assert run.end() == 128 + number, run.log()
        wait_until_gone(javas)
    assert run.said == [f"weft: interrupted by {number.name}; run the same command to continue\n"]
    assert not (output / f"{CLAIM}.json").exists()


def test_java_prints_nothing_and_leaves_no_files(tmp_path: Path) -> None:
    page = b"<html><body><article><p>" + b"The oak at the end of the lane is older than the village. " * 20
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    fields = (
        "WARC-Type: response", "WARC-Target-URI: http://host.example/", "WARC-Date: 2026-01-01T00:00:00Z",
        "WARC-Record-ID: <urn:uuid:1>", "Content-Type: application/http", f"Content-Length: {len(answer)}",
    )  # fmt: skip
    head = "\r\n".join(["WARC/1.0", *fields, "", ""])
    (tmp_path / "a.warc").write_bytes(head.encode() + answer + b"\r\n\r\n")
    folders = [tmp_path / name for name in ("temporary", "home", "here")]
    for folder in folders:
        folder.mkdir()
    temporary, home, here = map(str, folders)
    done = subprocess.run(
        [BIN / "weft", "extract", "-r", "everything", "-o", tmp_path / "out", "--master", "local[1]",
         tmp_path / "a.warc"],
        env={**os.environ, "TMPDIR": temporary, "HOME": home, "JAVA_TOOL_OPTIONS": "-Dx=1"},
        cwd=here, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if not line.lstrip().startswith("extract")] == []
    assert [path for folder in folders for path in folder.rglob("*")] == []


def test_messages_of_java_about_a_run_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.write(
        writer, b'Picked up JAVA_TOOL_OPTIONS: -Dx=1\nSetting default log level to "WARN".\nERROR Executor: lost\n'
    )
    os.close(writer)
    session._forward(reader)
    assert capfd.readouterr().err == "ERROR Executor: lost\n"
