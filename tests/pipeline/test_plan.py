"""Plans from hand-made rates and manifests: every estimate by hand."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.recipes import load
from pipeline.inspect.pilot import Pilot
from pipeline.inspect.plan import (
    ALL,
    Archives,
    Estimate,
    count_archives,
    estimate,
    product,
    total,
    total_known,
    unmeasured,
)
from pipeline.io.store import Manifest, Store
from pipeline.io.tables import PartWriter
from schemas.errors import PathError
from schemas.tables import IMAGES, REJECTIONS, rejection

NUMBERS = {
    "archive.bytes": 1e9,
    "archive.pages": 1000,
    "extract.kept": 0.5,
    "extract.captions": 2,
    "filter.kept": 0.5,
    "filter.captions_kept": 0.25,
    "fetch.images": 4,
    "fetch.ok": 0.5,
    "fetch.requests": 1.5,
    "fetch.bytes": 1000,
    "fetch.seconds": 3.2,
    "fetch.busiest_host": 0.1,
    "dedup.kept": 0.8,
    "score.images": 1,
    "assemble.interleaved": 0.1,
    "assemble.caption": 0.2,
    "assemble.text": 0.1,
    "extract.kept_core_seconds": 36,
    "extract.rejected_core_seconds": 3.6,
    "filter.core_seconds": 3.6,
    "fetch.core_seconds": 0.36,
    "score.core_seconds": 7.2,
    "assemble.core_seconds": 0.9,
    "shard.core_seconds": 1.8,
    "pages.bytes": 100,
    "images.bytes": 10_000,
    "shards.text.bytes": 5000,
}
RATES = {name: Estimate(float(value), "", "measured", ("by hand",)) for name, value in NUMBERS.items()}
RECIPE = load("kosmos1")


def values(figures: dict[str, Estimate]) -> dict[str, float | None]:
    return {name: figure.value for name, figure in figures.items()}


def test_every_estimate_of_two_archives_on_eight_cores() -> None:
    found = estimate(Archives(2, 2_000_000_000, 0), RATES, RECIPE, cores=8)
    assert values(found["things"]) == pytest.approx(
        {
            "extract.read": 2000, "extract.pages": 1000, "extract.captions": 2000, "filter.pages": 500,
            "filter.captions": 500, "fetch.asked": 2000, "fetch.stored": 1000, "dedup.pages": 400,
            "score.images": 1000, "assemble.interleaved": 200, "assemble.caption": 400, "assemble.text": 200,
        }
    )  # fmt: skip
    work = values(found["core-hours"])
    assert (work.pop("dedup"), found["core-hours"]["dedup"].known) == (None, "not measured")
    assert work == pytest.approx(
        {"extract": 11, "filter": 1, "fetch": 0.2, "score": 2, "assemble": 0.2, "shard": 0.4, "all": 14.8}
    )
    assert values(found["download"]) == pytest.approx(
        {
            "requests": 3000, "bytes": 2_000_000,
            "hours by the cores": 2000 * 0.36 / 3600 / 8,
            "hours by concurrent requests": 2000 * 3.2 / 3600 / (8 * 32),
            "hours by the busiest host": 300 / 10 / 3600,  # ten requests a second
        }
    )  # fmt: skip
    disk = {name: value for name, value in values(found["disk"]).items() if value is not None}
    assert disk == pytest.approx({"pages": 100_000, "images": 1e7, "shards.text": 1e6, "all": 11_100_000})
    took = values(found["hours"])
    assert took["extract"] == pytest.approx(5.5)  # two archives are two tasks, six cores wait
    assert took["fetch"] == pytest.approx(2000 * 0.36 / 3600 / 8)  # the longest of the three
    assert took["score"] == pytest.approx(0.25)
    assert unmeasured(found["core-hours"]) == unmeasured(found["hours"]) == ["dedup"]


def test_remote_archives_have_the_mean_size() -> None:
    found = estimate(Archives(3, 500_000_000, 2), RATES, RECIPE, cores=1)
    assert found["input"]["bytes"].value == 2_500_000_000
    assert found["things"]["extract.read"].value == pytest.approx(2500)


def test_a_text_corpus_needs_no_image() -> None:
    found = estimate(Archives(1, 10**9, 0), RATES, load("kosmos1", ["corpora=[text]"]), cores=1)
    assert "download" not in found
    assert set(found["core-hours"]) == {"extract", "filter", "dedup", "assemble", "shard", "all"}


def test_near_texts_and_lookalikes_cost_what_was_measured_of_them() -> None:
    recipe = load("kosmos1", ["dedup.minhash.enabled=true", "dedup.phash_distance=4"])
    near = {"dedup.near_text_core_seconds": RATES["score.core_seconds"]}  # 7.2 s for each of 250 pages
    alike = {"dedup.near_duplicate_image_core_seconds": RATES["filter.core_seconds"]}  # 3.6 s for each of 500 images
    found = estimate(Archives(1, 10**9, 0), {**RATES, **near, **alike}, recipe, cores=1)
    assert found["core-hours"]["dedup"].value == pytest.approx(0.5 + 0.5)


def test_gpus_are_estimated_from_a_pilot_only() -> None:
    archives = Archives(1, 10**9, 0)
    assert estimate(archives, RATES, RECIPE, 1, gpus=2)["GPU-hours"]["score"].value is None
    on_gpus = {**RATES, "score.gpu_seconds": Estimate(0.72, "", "pilot", ("OUT",))}
    found = estimate(archives, on_gpus, RECIPE, 1, gpus=2)
    assert found["GPU-hours"]["score"].value == pytest.approx(0.1)
    assert (found["hours"]["score"].value, found["hours"]["score"].known) == (pytest.approx(0.05), "pilot")


@given(num=st.integers(1, 10_000), num_bytes=st.integers(1, 10**12), unsized=st.integers(0, 10_000))
def test_twice_the_archives_are_twice_the_core_hours(num: int, num_bytes: int, unsized: int) -> None:
    once = estimate(Archives(num + unsized, num_bytes, unsized), RATES, RECIPE, cores=4)
    twice = estimate(Archives(2 * (num + unsized), 2 * num_bytes, 2 * unsized), RATES, RECIPE, cores=4)
    for section in ("core-hours", "things", "disk"):
        for name, figure in once[section].items():
            assert figure.value is None or twice[section][name].value == pytest.approx(2 * figure.value)


def test_a_product_is_as_certain_as_its_least_certain_factor() -> None:
    sure, guess = Estimate(2.0, "", "measured", ("a",)), Estimate(3.0, "", "assumed", ("b",))
    assert product("x", sure, guess) == Estimate(6.0, "x", "assumed", ("b",))
    assert total("x", [sure, sure]) == Estimate(4.0, "x", "measured", ("a",))
    unknown = Estimate(None, "", "not measured", ())
    assert product("x", sure, unknown) == total("x", [sure, unknown]) == Estimate(None, "x", "not measured", ())
    assert total_known("x", [sure, unknown]) == Estimate(2.0, "x", "measured", ("a",))


def test_a_sum_of_half_its_parts_is_not_shown_as_the_whole() -> None:
    recipe = load("kosmos1", ["dedup.minhash.enabled=true", "dedup.phash_distance=4"])
    near = {"dedup.near_text_core_seconds": RATES["score.core_seconds"]}
    archives = Archives(1, 10**9, 0)
    assert (
        estimate(archives, {**RATES, **near}, recipe, 1)["core-hours"]["dedup"].value is None
    )  # near-duplicates: unknown
    for half in ("extract.kept_core_seconds", "extract.rejected_core_seconds"):
        found = estimate(archives, {name: rate for name, rate in RATES.items() if name != half}, RECIPE, 1)
        assert unmeasured(found["core-hours"]) == unmeasured(found["hours"]) == ["extract", "dedup"]
    found = estimate(archives, {name: rate for name, rate in RATES.items() if name != "assemble.text"}, RECIPE, 1)
    assert unmeasured(found["core-hours"]) == ["dedup", "assemble", "shard"]
    assert {"documents", "shards.text"} <= set(unmeasured(found["disk"]))


@given(known=st.sets(st.sampled_from(sorted(NUMBERS))), unsized=st.integers(0, 3))
def test_an_estimate_is_complete_or_missing(known: set[str], unsized: int) -> None:
    archives = Archives(1 + unsized, 10**9, unsized)
    half = estimate(archives, {name: RATES[name] for name in known}, RECIPE, cores=3)
    whole = estimate(archives, RATES, RECIPE, cores=3)
    for section, figures in half.items():
        for name, figure in figures.items():
            assert (figure.value is None) == (figure.known == "not measured"), (section, name)
            is_bound = name == ALL or (section, name) == ("hours", "fetch")
            if figure.value is not None and is_bound:
                assert figure.value <= whole[section][name].value * (1 + 1e-9), (section, name)
            elif figure.value is not None:
                assert figure.value == whole[section][name].value, (section, name)


def test_inputs_are_counted_and_local_ones_sized(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"x" * 10)
    (tmp_path / "far.paths").write_text("https://host.example/b.warc\nhttps://host.example/c.warc\n")
    inputs = [str(tmp_path / "a.warc"), str(tmp_path / "far.paths")]
    assert count_archives(inputs) == Archives(num=3, sized_bytes=10, num_unsized=2)


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    """A run that stopped after fetch: its manifests by hand, its tables of known sizes, two archives of 4 MB in all."""
    for name in ("a.warc", "b.warc"):
        (tmp_path / name).write_bytes(b"x" * 2_000_000)
    store = Store(str(tmp_path / "out"))
    for name, size in (("pages/p.parquet", 5000), ("captions/c.parquet", 800), ("rejections/r.parquet", 400)):
        store.write(store.at(name), b"x" * size)
    recipe = load("kosmos1").model_dump(mode="json")
    archives = f"{tmp_path}/a.warc\n{tmp_path}/b.warc"
    tables = {"pages": ["pages/p.parquet"], "captions": ["captions/c.parquet"], "rejections": ["rejections/r.parquet"]}
    of_extract = Manifest("extract", recipe, {}, {"archives": archives}, tables, {"pages": 50, "captions": 80},
                          {"WRONG_LANGUAGE": 30}, {}, 10.0, {"page": 80, "caption": 100})  # fmt: skip
    # 60 of 80 captions are rejected, 30 of them by two rules.
    rules = ["SHORT_CAPTION"] * 60 + ["FEW_CAPTION_CHARACTERS"] * 30
    captions = [rejection("filter", rule, "caption", image_id=f"{n % 60}", detail="x") for n, rule in enumerate(rules)]
    pages = [rejection("filter", "EMOJI", "page", page_id=f"{n}") for n in range(25)]
    pq.write_table(pa.Table.from_batches([REJECTIONS.batch(captions + pages)]), store.at("rejections/f.parquet"))
    of_filter = Manifest("filter", recipe, {}, {}, {"rejections": ["rejections/f.parquet"]}, {"pages": 25},
                         {"SHORT_CAPTION": 60, "FEW_CAPTION_CHARACTERS": 30, "EMOJI": 25}, {}, 5.0,
                         {"page": 50, "caption": 80})  # fmt: skip
    with PartWriter(store, IMAGES, store.at("images/i.parquet")) as images:
        blank = dict.fromkeys(column.name for column in IMAGES.columns)
        for number, host in enumerate(["a", "a", "a", "b"]):
            url = f"http://{host}.example/{number}.png"
            images.add({**blank, "image_id": str(number), "image_url": url, "status": "ok", "original_bytes": 250})
    of_fetch = Manifest("fetch", recipe, {}, {}, {"images": ["images/i.parquet"]}, {"ok": 3, "dns": 1}, {"DNS": 1}, {},
                        2.0, {"image": 4})  # fmt: skip
    for folder, manifest in (("pages", of_extract), ("measures", of_filter), ("images", of_fetch)):
        store.commit(folder, manifest)
    return tmp_path / "out"


def test_a_pilot_gives_its_own_rates(pilot: Path) -> None:
    rates = Pilot(str(pilot), num_cores=4).rates()
    assert {figure.known for figure in rates.values()} == {"pilot"}
    stored = (pilot / "images" / "i.parquet").stat().st_size
    rejections = 400 + (pilot / "rejections" / "f.parquet").stat().st_size
    assert {name: figure.value for name, figure in rates.items() if figure.value} == pytest.approx(
        {
            "archive.bytes": 2_000_000,
            "archive.pages": 80 / 0.004,
            "extract.kept": 50 / 80,
            "extract.captions": 80 / 50,
            "filter.kept": 25 / 50,
            "filter.captions_kept": 20 / 80,
            "fetch.images": 4 / 25,
            "fetch.ok": 3 / 4,
            "fetch.bytes": 250,
            "fetch.busiest_host": 3 / 4,
            "fetch.seconds": 2 * 4 * 32 / 4,
            "extract.kept_core_seconds": 10 * 4 / 80,
            "extract.rejected_core_seconds": 10 * 4 / 80,
            "filter.core_seconds": 5 * 4 / 50,
            "fetch.core_seconds": 2 * 4 / 4,
            "pages.bytes": 100,
            "captions.bytes": 10,
            "rejections.bytes": rejections / 80,
            "images.bytes": stored / 3,
        }
    )


def test_a_pilot_scored_on_gpus_gives_no_rate_of_cores(pilot: Path) -> None:
    store = Store(str(pilot))
    scored = Manifest("score", {}, {}, {}, {}, {"images": 2}, {}, {}, 6.0, {})
    store.commit("scores", scored)
    rates = Pilot(str(pilot), num_cores=4, num_gpus=3).rates()
    assert rates["score.gpu_seconds"].value == 9
    assert "score.core_seconds" not in rates


def test_a_folder_without_a_run_is_no_pilot(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="no finished step"):
        Pilot(str(tmp_path), num_cores=1)
