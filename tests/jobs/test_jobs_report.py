"""A report agrees with the ground truth of the sample web, for finished and unfinished runs and any parts of tables."""

import base64
import io
import json
import shutil
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from handmade import commit, row, text
from PIL import Image
from pyspark.sql import SparkSession
from runs import ROOT, weft
from test_jobs_truth import MAX_IMAGES, Expected
from webs import Finished

from jobs.report import gather
from jobs.report_sources import ReportFiles
from pipeline.io.store import Store
from schemas.errors import PathError
from schemas.tables import PAGES, REJECTIONS, STEPS, image_id, rejection

NUM_SAMPLES = 20
SCORED = "clip_score"


@pytest.fixture(scope="module")
def expected(finished: Finished) -> Expected:
    return Expected(finished)


@pytest.fixture(scope="module")
def told(finished: Finished, spark: SparkSession) -> dict[str, Any]:
    return gather(spark, ReportFiles(str(finished.output)), NUM_SAMPLES)


def share(told: dict[str, Any], name: str, of: str) -> dict[str, int]:
    (found,) = [s for s in told["shares"] if (s["name"], s["of"]) == (name, of)]
    assert found["total"] == sum(v["count"] for v in found["values"]) + found["others"]
    return {v["value"]: v["count"] for v in found["values"]}


def spread(told: dict[str, Any], name: str, of: str) -> dict[str, Any]:
    (found,) = [s for s in told["spreads"] if (s["name"], s["of"]) == (name, of)]
    return found


def rule_of(told: dict[str, Any], step: str, rule: str) -> dict[str, Any]:
    (found,) = [r for f in told["funnel"] if f["step"] == step for r in f["rules"] if r["rule"] == rule]
    return found


def documents(expected: Expected, finished: Finished) -> list[int]:
    """The number of images of each interleaved document."""
    ids = {(p["url"], p["captured_at"]): p["page_id"] for p in finished.rows("pages")}
    ends = [(t, expected.end(t, ids[t["url"], t["captured_at"]])) for t in expected.pages]
    return [min(len(expected.kept_images(t)), MAX_IMAGES) for t, end in ends if end == "interleaved"]


def test_fractions_agree_with_the_ground_truth(told: dict, expected: Expected) -> None:
    fates = Counter(expected.images[url]["fate"] for url in expected.fetched)
    status = {name.upper().replace("OK", "ok"): n for name, n in share(told, "image status", "images").items()}
    assert status == fates
    assert share(told, "languages", "pages") == Counter(t["language"] for t in expected.pages)
    assert share(told, "hosts", "pages") == Counter(urlsplit(t["url"]).hostname for t in expected.pages)
    assert sum(share(told, "directives", "images").values()) == fates["OPT_OUT"] > 0


def test_distributions_agree_with_the_ground_truth(told: dict, expected: Expected, finished: Finished) -> None:
    images = documents(expected, finished)
    counted = spread(told, "images", "interleaved")
    assert {b["from"]: b["count"] for b in counted["bins"]} == Counter(images)
    assert counted["quantiles"]["0.5"] == sorted(images)[(len(images) - 1) // 2]
    stored = [expected.images[url] for url in expected.fetched if expected.images[url]["fate"] == "ok"]
    for side in ("width", "height"):
        found = spread(told, side, "images")
        for b in found["bins"]:
            assert b["count"] == sum(b["from"] <= t[side] < b["to"] for t in stored), (side, b)
        sides = sorted(t[side] for t in stored)
        assert found["quantiles"]["0.5"] == sides[(len(sides) - 1) // 2]
        assert (found["quantiles"]["0"], found["quantiles"]["1"]) == (sides[0], sides[-1])
    for of, facts in told["corpora"].items():
        assert sum(b["count"] for b in spread(told, "words", of)["bins"]) == facts["samples"] + facts["held_out"]


def test_each_rule_shows_what_it_dropped(told: dict, expected: Expected, finished: Finished) -> None:
    texts = {t["url"]: t["paragraphs"] for t in expected.pages}
    every = finished.web.truth("truth.jsonl")
    for step, rule in (("filter", "EMOJI"), ("filter", "URLS"), ("dedup", "DUPLICATE_TEXT")):
        found = rule_of(told, step, rule)
        taken = {t["url"] for t in every if t["fate"] == rule}
        assert {e["url"] for e in found["examples"]} <= taken
        assert len({e["url"] for e in found["examples"]}) == min(4, len(taken)), "each thing once"
        for example in found["examples"]:
            assert texts[example["url"]][0][:80] in example["text"], example["url"]
    for example in rule_of(told, "filter", "SHORT_CAPTION")["examples"]:
        assert len(example["text"].split()) < 3 and example["image"] in {"", *told["thumbs"]}
    for example in rule_of(told, "fetch", "TOO_SMALL")["examples"]:
        assert expected.images[example["url"]]["fate"] == "TOO_SMALL" and example["image"] == ""
    for example in rule_of(told, "assemble", "TOO_MANY_IMAGES")["examples"]:
        assert Image.open(io.BytesIO(thumb(told, example["image"]))).size == size(expected, example["url"])
    gone = rule_of(told, "extract", "WRONG_LANGUAGE")["examples"]
    assert len(gone) == 4 and all(e["url"] and not e["text"] for e in gone), "no page, no words"


def thumb(told: dict[str, Any], key: str) -> bytes:
    return base64.b64decode(told["thumbs"][key].removeprefix("data:image/jpeg;base64,"))


def size(expected: Expected, url: str) -> tuple[int, int]:
    """The size of an image's thumbnail."""
    width, height = expected.images[url]["width"], expected.images[url]["height"]
    scale = min(1, 240 / max(width, height))
    return round(width * scale), round(height * scale)


def test_clusters_agree_with_the_ground_truth(told: dict, expected: Expected, finished: Finished) -> None:
    groups = defaultdict(set)
    for url, survivor in expected.duplicates.items():
        groups[image_id(survivor)] |= {image_id(url)}
    found = {c["survivor"]["id"]: c for c in told["clusters"] if c["rule"] == "DUPLICATE_IMAGE"}
    assert {name: c["size"] for name, c in found.items()} == {name: len(g) + 1 for name, g in groups.items()}
    for name, cluster in found.items():
        assert {m["id"] for m in cluster["members"]} <= groups[name]
        assert {m["image"] for m in cluster["members"]} == {cluster["survivor"]["image"]} <= told["thumbs"].keys()
    fates = Counter(t["fate"] for t in finished.web.truth("truth.jsonl"))
    same = [c for c in told["clusters"] if c["rule"] == "DUPLICATE_TEXT"]
    assert sum(c["size"] - 1 for c in same) == fates["DUPLICATE_TEXT"] > 0
    for cluster in same:
        assert {m["text"] for m in cluster["members"]} == {cluster["survivor"]["text"]} != {""}


def test_samples_are_of_the_shards_and_show_their_images(told: dict, expected: Expected, finished: Finished) -> None:
    made = {(d["corpus"], d["key"]): d for d in finished.rows("documents")}
    for corpus, facts in told["corpora"].items():
        assert sum(s["corpus"] == corpus for s in told["samples"]) == min(NUM_SAMPLES, facts["samples"])
    for sample in told["samples"]:
        blocks = made[sample["corpus"], sample["key"]]["blocks"]
        images, shown = ([b for b in of if b["kind"] == "image"] for of in (blocks, sample["blocks"]))
        assert [(b["url"], b["alt"]) for b in shown] == [(b["image_url"], b["alt"] or "") for b in images] or (
            sample["corpus"] == "caption" and shown[0]["url"] == images[0]["image_url"]
        )
        for block in shown:
            assert (block["width"], block["height"]) == (
                expected.images[block["url"]]["width"], expected.images[block["url"]]["height"]
            )  # fmt: skip
            assert Image.open(io.BytesIO(thumb(told, block["image"]))).size == size(expected, block["url"])
        texts = "\n\n".join(b["text"] for b in sample["blocks"] if b["kind"] == "text")
        written = "\n\n".join(b["text"] for b in blocks if b["kind"] == "text")
        assert texts == written or "…" in texts
        assert sample["num_words"] == len(written.split())


def test_it_does_not_depend_on_parts_and_order_of_tables(
    told: dict, finished: Finished, spark: SparkSession, tmp_path: Path
) -> None:
    shutil.copytree(finished.output, tmp_path / "out")
    store, partitions = Store(str(tmp_path / "out")), spark.conf.get("spark.sql.shuffle.partitions")
    for folder in (step.folder for step in STEPS.values()):
        manifest = store.manifest(folder)
        files = {name: of if name == "shards" else [one_part(store, of)] for name, of in manifest.files.items() if of}
        store.commit(folder, replace(manifest, files=files))
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    try:
        again = gather(spark, ReportFiles(store.root), NUM_SAMPLES)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", partitions)
    assert json.dumps(again) == json.dumps(told)


def one_part(store: Store, files: list[str]) -> str:
    tables = [pq.ParquetFile(store.at(file)).read() for file in files]
    whole = pa.concat_tables([t.replace_schema_metadata() for t in tables], promote_options="permissive")
    path = f"{files[0]}-whole.parquet"
    pq.write_table(whole.take(list(range(len(whole)))[::-1]), store.at(path), row_group_size=50)
    return path


def test_unfinished_steps_are_left_out(
    finished: Finished, expected: Expected, spark: SparkSession, tmp_path: Path
) -> None:
    ignore = shutil.ignore_patterns("*.tar")
    shutil.copytree(finished.output, tmp_path / "out", ignore=ignore)
    store = Store(str(tmp_path / "out"))
    seen = []
    for unfinished, left in ((("shards",), 6), (("documents", "scores", "rejections/dedup"), 3)):
        for folder in unfinished:
            store.remove(folder, "_manifest.json")
        half = gather(spark, ReportFiles(store.root), NUM_SAMPLES)
        assert [s["step"] for s in half["steps"]] == list(STEPS)[:left]
        assert (half["samples"], half["shards"], half["corpora"]) == ([], [], {})
        seen.append(half)
    images = documents(expected, finished)
    assert {b["from"]: b["count"] for b in spread(seen[0], "images", "interleaved")["bins"]} == Counter(images)
    assert sum(b["count"] for b in spread(seen[1], "words", "pages")["bins"]) == len(expected.pages)
    assert rule_of(seen[1], "fetch", "TOO_SMALL")["examples"] and not seen[1]["clusters"]


def test_a_shards_folder_alone(told: dict, finished: Finished, spark: SparkSession) -> None:
    alone = gather(spark, ReportFiles(str(finished.output / "shards")), NUM_SAMPLES)
    for name in ("samples", "shards", "num_shards", "corpora"):
        assert json.dumps(alone[name]) == json.dumps(told[name]), name
    assert (alone["recipe"], alone["steps"], alone["funnel"], alone["clusters"]) == ({}, [], [], [])
    assert alone["totals"] == {**told["totals"], "archives": -1, "pages": -1, "seconds": 0,
                               "images": sum(s["num_images"] for s in told["shards"])}  # fmt: skip
    for of in ("interleaved", "caption"):
        for name in ("width", "height", "bytes", SCORED):
            assert sum(b["count"] for b in spread(alone, name, of)["bins"]) == told["corpora"][of]["images"]


HOSTILE = "</script><img src=x onerror=alert(1)>\x00\u2028 {{7*7}} \ud7ff\U0001f600 ‮" + "a" * 3000


def test_hostile_texts_are_data(spark: SparkSession, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    page = row(PAGES, page_id="p", url=HOSTILE, host=HOSTILE, language=HOSTILE, license=HOSTILE, blocks=[text(HOSTILE)])
    against = {"page_id": "p", "url": HOSTILE, "warc_file": "w", "warc_offset": 0, "detail": HOSTILE}
    rejected = [
        rejection("extract", rule, "page", **against, measure=float("nan"), threshold=float("inf"))
        for rule in ("TOO_SHORT", "PAGE_OPT_OUT")
    ]
    commit(store, "pages", "extract", {PAGES: [page], REJECTIONS: rejected})
    told = json.loads(json.dumps(gather(spark, ReportFiles(store.root), NUM_SAMPLES), allow_nan=False))
    (example,) = rule_of(told, "extract", "TOO_SHORT")["examples"]
    assert {example[name] for name in ("url", "text", "detail")} == {HOSTILE[:400] + "…"}
    for name in ("hosts", "languages", "licenses", "directives"):
        assert share(told, name, "pages") == {HOSTILE[:200]: 1}


def test_the_command_writes_one_file(finished: Finished, tmp_path: Path) -> None:
    path = tmp_path / "new" / "it.html"
    done = weft("report", str(finished.output), "--samples", "2", "--output", str(path), "--master", "local[1]")
    assert done.returncode == 0, done.stderr
    assert str(path) in done.stdout.replace("\n", "")
    page = path.read_text("utf-8")
    assert page.lower().startswith("<!doctype html>")
    for place in (str(ROOT), str(finished.output.parent), str(finished.web.folder)):
        assert place not in page, "a report may be handed on: it names no path of this machine"
    assert list(path.parent.iterdir()) == [path], "no draft stays"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((".",), "no finished step"),
        (("nowhere",), "no finished step"),
        (("OUT", "--output", "folder/"), "is a folder"),
        (("OUT", "--output", "."), "is a folder"),
        (("OUT", "--master", "here"), "--master here"),
        (("OUT", "--samples", "-1"), "--samples"),
    ],
)
def test_wrong_arguments(
    arguments: tuple[str, ...], words: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = weft("report", *(str(finished.output) if a == "OUT" else a for a in arguments))
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(PathError):
        ReportFiles(str(tmp_path))
