"""Items lost to the load of the machine are retried by the same command; items dropped by a rule are not."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fetching import fetched, recipe, requests, rows, statuses, want
from webs import Web

from jobs import extract
from jobs.recipes import load
from jobs.run import run
from jobs.step import Context, Outcome, Step, run_step
from pipeline.html.extract import part_name
from pipeline.io.store import COMMITS, Store, read_commits
from schemas.reasons import BY_CODE, RETRIED
from schemas.tables import STEPS
from tests.sampleweb.faulty.server import serving

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize(("rule", "num_runs"), [("PAGE_STALLED", 2), ("STALLED", 2), ("PAGE_TIMEOUT", 1)])
def test_a_step_is_finished_once_nothing_is_stalled(rule: str, num_runs: int, tmp_path: Path) -> None:
    made: list[dict[str, int]] = []

    def work(context: Context) -> Outcome:
        made.append({} if made else {rule: 1, "EMOJI": 2})
        return Outcome({}, {"pages": 3}, made[-1])

    step, store = Step(replace(STEPS["filter"], inputs=()), ("filters",), work), Store(str(tmp_path))
    context = Context(None, store, load("kosmos1"), ())  # type: ignore[arg-type]
    assert run_step(step, context).rejected == {rule: 1, "EMOJI": 2}
    for _ in range(2):
        assert run_step(step, context).rejected == made[-1]
    assert len(made) == num_runs


def test_the_codes_exist() -> None:
    assert {BY_CODE[code].level for code in RETRIED} == {"record", "page", "image"}


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


def test_a_stalled_image_is_requested_again(spark: "SparkSession", tmp_path: Path) -> None:
    sound, late, missing = "/ok/1.jpg", "/flaky/1/2.jpg", "/missing/3.jpg"  # the second comes at the second request
    with serving(1) as server:
        settings = recipe(server, "fetch.retries=0", f"fetch.cache={tmp_path / 'cache'}")
        output = tmp_path / "out"
        want(output, [server.url(path) for path in (sound, late, missing)])
        before = fetched(output, settings)
        assert before.counts == {"http_4xx": 1, "http_5xx": 1, "ok": 1}
        _stall(Store(str(output)), server.url(late))
        after = fetched(output, settings)
        assert statuses(output) == {server.url(sound): "ok", server.url(late): "ok", server.url(missing): "http_4xx"}
        assert (after.counts, after.rejected) == ({"http_4xx": 1, "ok": 2}, {"HTTP_4XX": 1})
        assert [row["rule"] for row in rows(output, "rejections")] == ["HTTP_4XX"]
        assert fetched(output, settings) == after
        assert requests(server) == {(server.hosts[0], path): n for path, n in ((sound, 1), (late, 2), (missing, 1))}


def _stall(store: Store, url: str) -> None:
    """Mark a failed image of a finished fetch as stalled."""
    manifest = store.manifest("images")
    assert manifest
    for file in manifest.files["images"]:
        table = pq.read_table(store.at(file), partitioning=None)
        statuses = ["stalled" if row["image_url"] == url else row["status"] for row in table.to_pylist()]
        place = table.schema.get_field_index("status")
        table = table.set_column(place, table.schema.field(place), pa.array(statuses))
        pq.write_table(table, store.at(file))
        folder, name = store.at(file).rsplit("/", 1)
        Path(folder, f".{name}.crc").unlink(missing_ok=True)  # of the file as Spark wrote it
    counts = {"http_4xx": 1, "ok": 1, "stalled": 1}
    store.commit("images", replace(manifest, counts=counts, rejected={"HTTP_4XX": 1, "STALLED": 1}))
