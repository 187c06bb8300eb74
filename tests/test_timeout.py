"""A hanging test fails with a traceback, and the following tests run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HANGING = """
import threading, time
import pytest
from pyspark.sql.functions import udf

def test_starts_spark(spark):
    assert spark.range(5).count() == 5

@pytest.mark.timeout(2)
def test_waits_for_a_wake_up_that_never_comes():
    threading.Event().wait()

@pytest.mark.timeout(4)
def test_waits_for_spark(spark):
    spark.range(2).select(udf(lambda _: time.sleep(1000), "long")("id")).collect()

def test_uses_spark_afterwards(spark):
    assert spark.range(7).count() == 7

def test_has_no_limit_of_its_own(request):
    assert request.node.get_closest_marker("timeout") is None

@pytest.mark.slow
def test_has_longer(request):
    assert request.node.get_closest_marker("timeout").args == (1800,)
"""


def test_only_the_hanging_test_fails(tmp_path: Path) -> None:
    pytest.importorskip("pytest_timeout")
    (tmp_path / "test_hanging.py").write_text(HANGING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-p", "conftest", "-rA", tmp_path],
        cwd=ROOT / "tests", capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    ends = dict(line.split()[:2][::-1] for line in done.stdout.splitlines() if line.startswith(("PASSED", "FAILED")))
    assert {name.rpartition("::")[2]: end for name, end in ends.items()} == {
        "test_starts_spark": "PASSED",
        "test_waits_for_a_wake_up_that_never_comes": "FAILED",
        "test_waits_for_spark": "FAILED",
        "test_uses_spark_afterwards": "PASSED",
        "test_has_no_limit_of_its_own": "PASSED",
        "test_has_longer": "PASSED",
    }, done.stdout
    assert done.stdout.count("E       Failed: Timeout") == 2
