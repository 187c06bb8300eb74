"""What the load of the machine took is tried again by the same command; what a rule took is not."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from webs import Web

from jobs import extract
from jobs.recipes import load
from jobs.run import run
from jobs.step import Context, Outcome, Step, run_step
from pipeline.commits import COMMITS, read_commits
from pipeline.extract.archive import part_name
from pipeline.store import Store
from schemas.reasons import BY_CODE, STALLED

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize(("rule", "num_runs"), [("PAGE_STALLED", 2), ("STALLED", 2), ("PAGE_TIMEOUT", 1)])
def test_a_step_is_finished_once_nothing_is_stalled(rule: str, num_runs: int, tmp_path: Path) -> None:
    made: list[dict[str, int]] = []

    def work(context: Context) -> Outcome:
        made.append({} if made else {rule: 1, "EMOJI": 2})
        return Outcome({}, {"pages": 3}, made[-1])

    step, store = Step("filter", "measures", (), ("filters",), work), Store(str(tmp_path))
    context = Context(None, store, load("kosmos1"), ())  # type: ignore[arg-type]
    assert run_step(step, context).rejected == {rule: 1, "EMOJI": 2}
    for _ in range(2):
        assert run_step(step, context).rejected == made[-1]
    assert len(made) == num_runs


def test_the_codes_exist() -> None:
    assert {BY_CODE[code].level for code in STALLED} == {"page", "image"}


def test_an_archive_with_a_stalled_page_is_read_again(small_web: Web, spark: "SparkSession", tmp_path: Path) -> None:
    archives = small_web.archives[:2]
    expected = run((extract.STEP,), load("kosmos1"), str(tmp_path / "whole"), archives)["extract"]
    store = Store(str(tmp_path / "out"))
    for name, commit in read_commits(Store(str(tmp_path / "whole"))).items():
        stalled = {**commit, "counts": {"archives": 1}, "rejected": {"PAGE_STALLED": 1}}
        store.write_json(store.at("pages", COMMITS, f"{name}.json"), stalled)
    found = run((extract.STEP,), load("kosmos1"), str(tmp_path / "out"), archives)["extract"]
    assert (found.counts, found.rejected) == (expected.counts, expected.rejected)
    assert {part_name(a) for a in archives} == read_commits(store).keys()
