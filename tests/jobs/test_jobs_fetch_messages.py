"""Messages of a fetch: its progress, and the classes of --retry."""

import itertools
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fetching import want
from runs import weft

from jobs.fetch import batch_of, parse_classes, watch
from jobs.fetch_rounds import ANSWERS_FOLDER
from jobs.recipes import load
from jobs.step import Context
from pipeline.fetch.commit_log import RESULTS, CommitLog
from pipeline.io.store import Store
from schemas.errors import RecipeError
from schemas.tables import IMAGE_STATUS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def answer(number: int, status: str) -> dict[str, Any]:
    row = dict.fromkeys(RESULTS.names)
    return {**row, "image_id": f"{number}", "image_url": f"http://host.example/{number}", "status": status}


def test_progress_of_a_running_fetch(spark: "SparkSession", tmp_path: Path) -> None:
    want(tmp_path, [])
    store = Store(str(tmp_path))
    context = Context(spark, store, load("everything"), ())
    retrying = replace(context, retry=("dns",))
    assert batch_of(retrying) == batch_of(context), "nothing has failed yet, so what was begun goes on"
    journal = CommitLog(
        store, ANSWERS_FOLDER, "images/batch=x", "0001-00000", f"{ANSWERS_FOLDER}/run-0002", 1000, context.tally.add
    )
    numbers = itertools.count()

    def commit(*found: str) -> None:
        for status in found:
            journal.add(answer(next(numbers), status))
        journal.commit()

    tell = watch(context)
    assert tell() == "", "the list is not complete yet"
    context.tally.add(Counter(listed=1200))
    assert tell() == "1,200 images to fetch"
    commit(*["timeout"] * 2, *["moved"] * 5)  # an image that moved has no answer yet
    said = re.fullmatch(r"2 of 1,200 images, ([\d,]+)/s; timeout 100 %", tell())
    assert said and int(said[1].replace(",", "")) >= 0
    commit(*["dns"] * 10, *["http_4xx"] * 8)
    assert re.fullmatch(r"20 of 1,200 images, ([\d,]+)/s; dns 50 %, http_4xx 40 %, timeout 10 %", tell())


def test_progress_counts_what_an_earlier_run_answered(spark: "SparkSession", tmp_path: Path) -> None:
    context = Context(spark, Store(str(tmp_path)), load("everything"), ())
    context.tally.add(Counter(listed=1200, answered=1000))
    tell = watch(context)
    assert tell() == "1,000 of 1,200 images, 0/s"
    context.tally.add(Counter(ok=50))
    assert tell().startswith("1,050 of 1,200 images, ") and tell().endswith("/s; ok 100 %")


def test_classes_to_retry() -> None:
    assert parse_classes("timeout, http_5xx,timeout") == ("http_5xx", "timeout")
    with pytest.raises(RecipeError) as raised:
        parse_classes("timeout,http_500")
    assert "'http_500'" in str(raised.value) and "did you mean http_5" in str(raised.value)
    assert str(raised.value).endswith(", ".join(IMAGE_STATUS[1:])), "all but ok"
    with pytest.raises(RecipeError, match="'ok'"):
        parse_classes("ok")


def test_an_unknown_class_on_the_command_line(tmp_path: Path) -> None:
    done = weft("fetch", "-o", str(tmp_path), "--retry", "timeout,tiemout")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert (
        len(lines) == 1 and "'tiemout'" in lines[0] and "did you mean timeout?" in lines[0] and "http_5xx" in lines[0]
    )
    assert list(tmp_path.iterdir()) == []
