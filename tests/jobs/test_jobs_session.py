"""The Java that Spark's driver runs in: its room for code, and what is said when it is killed."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runs import BIN, TIMEOUT_SECONDS, java_of, wait_for
from webs import Web

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_java_has_room_for_the_code_of_all_steps(spark: "SparkSession") -> None:
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
    assert said.splitlines()[-1].startswith("weft: Java, in which Spark's driver runs, was ended")
