"""The funnel adds up: it agrees with the ground truth, also where several rules reject one item."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from handmade import commit, row
from runs import weft
from test_jobs_truth import Expected, capture, gate
from webs import Finished

from pipeline.inspect.funnel import by_host, by_rule
from pipeline.io.store import Store
from schemas.errors import PathError
from schemas.tables import PAGES, REJECTIONS, rejection
from tests.sampleweb.web import PAGE_LESS

NO_LIMIT = 1000


@pytest.fixture(scope="module")
def expected(finished: Finished) -> Expected:
    return Expected(finished)


def test_input_equals_dropped_plus_kept(finished: Finished) -> None:
    rows = by_rule(str(finished.output), NO_LIMIT)
    assert [r["step"] for r in rows if r["things"] == "pages"] == ["extract", "filter", "dedup", "assemble", "shard"]
    for r in (r for r in rows if r["things"] != "records"):  # of which nobody counts what came in
        assert r["in"] == r["taken"] + r["out"]
        assert r["taken"] <= sum(rule["dropped"] for rule in r["rules"])
        if r["things"] in ("pages", "images", "documents"):  # these go by no rule of another thing
            assert r["before"] in (0, None), r
    out = {(r["step"], r["things"]): r["out"] for r in rows}
    store, documents = Store(str(finished.output)), Counter(d["corpus"] for d in finished.rows("documents"))
    for step, folder in (("extract", "pages"), ("filter", "measures"), ("dedup", "rejections/dedup")):
        assert out[step, "pages"] == store.manifest(folder).counts["pages"]
    assert out["assemble", "pages"] == out["shard", "pages"] == documents["interleaved"] + documents["text"]
    assert out["assemble", "documents"] == out["shard", "documents"] == documents["interleaved"]
    assert out["fetch", "images"] == sum(r["status"] == "ok" for r in finished.rows("images"))
    assert out["shard", "captions"] == documents["caption"]
    kept = sum(b["kind"] == "image" for d in finished.rows("documents") if d["corpus"] == "interleaved"
               for b in d["blocks"])  # fmt: skip
    assert out["assemble", "images in documents"] >= kept, "the rest went with the form of its page"


def test_the_rules_drop_what_the_ground_truth_says(finished: Finished, expected: Expected) -> None:
    ids = {capture(p): p["page_id"] for p in finished.rows("pages")}
    every = finished.web.truth("truth.jsonl")
    ends = Counter(gate(t) for t in expected.gated)
    ends["HTTP_STATUS"] = sum(t["fate"] == "HTTP_STATUS" for t in every)
    ends.update(expected.end(t, ids[capture(t)]) for t in expected.pages)
    rows = by_rule(str(finished.output), NO_LIMIT)
    records, pages = rows[:2]
    assert (records["things"], records["in"]) == ("records", None)
    assert [(rule["rule"], rule["dropped"]) for rule in records["rules"]] == [
        ("NOT_HTML", len(PAGE_LESS) * len(finished.web.archives))
    ]
    assert (pages["things"], pages["in"]) == ("pages", len(every))
    took = {rule["rule"]: rule["dropped"] for r in rows if r["things"] == "pages" for rule in r["rules"]}
    assert took == {rule: n for rule, n in ends.items() if rule not in ("interleaved", "text")}
    fates = Counter(expected.images[url]["fate"] for url in expected.fetched)
    fetch = next(r for r in rows if r["step"] == "fetch")
    assert {rule["rule"]: rule["dropped"] for rule in fetch["rules"]} == {f: n for f, n in fates.items() if f != "ok"}
    assert all(rule["fraction"] == round(rule["dropped"] / len(expected.fetched), 4) for rule in fetch["rules"])


def test_each_host_has_its_share(finished: Finished, expected: Expected) -> None:
    ids = {capture(p): p["page_id"] for p in finished.rows("pages")}
    gone = Counter(urlsplit(t["url"]).hostname for t in finished.web.truth("truth.jsonl")
                   if gate(t) or t["fate"] == "HTTP_STATUS"
                   or expected.end(t, ids[capture(t)]) not in ("interleaved", "text"))  # fmt: skip
    told = by_host(str(finished.output), NO_LIMIT)
    came = Counter(urlsplit(t["url"]).hostname for t in finished.web.truth("truth.jsonl"))
    assert {h["host"]: (h["in"], h["taken"]) for h in told["pages"]["hosts"]} == {h: (came[h], gone[h]) for h in gone}
    assert (told["pages"]["in"], told["pages"]["taken"]) == (came.total(), gone.total())
    lost = Counter(urlsplit(url).hostname for url in expected.fetched if not expected.usable(url))
    assert {h["host"]: h["taken"] for h in told["images"]["hosts"]} == lost
    for host in told["images"]["hosts"]:
        assert host["taken"] == sum(host["rules"].values()) == host["in"] - host["out"]
    worst = by_host(str(finished.output), 1)["pages"]["hosts"]
    assert [h["taken"] for h in worst] == [max(gone.values())]


def test_it_is_printed_for_people_and_for_programs(finished: Finished) -> None:
    output = str(finished.output)
    told = weft("stats", output, "--funnel", "--json", "--limit", "2", PATH="", JAVA_HOME="")
    assert json.loads(told.stdout) == {"funnel": by_rule(output, 2)}, told.stderr
    told = weft("stats", output, "--by", "host", "--json")
    assert json.loads(told.stdout) == {"funnel": by_host(output, 20)}, told.stderr
    shown = weft("stats", output, "--funnel", "--limit", "1", COLUMNS="80").stdout
    assert "extract: pages" in shown and "and 2 more rules" in shown
    assert "paperkitchen.example" in weft("stats", output, "--funnel", "--by", "host", COLUMNS="80").stdout


@pytest.fixture
def judged(tmp_path: Path) -> str:
    """Rejections of a filter: single and several rules for pages and captions, an image, and another host."""
    store = Store(str(tmp_path))
    pages = [row(PAGES, page_id=str(n), url=f"http://h{n % 2}/{n}", host=f"h{n % 2}", blocks=[]) for n in range(5)]
    against = {0: ("TOO_SHORT",), 1: ("TOO_SHORT", "EMOJI", "URLS"), 2: ("EMOJI",)}
    rejected = [
        rejection("filter", rule, "page", page_id=str(n), url=f"http://H{n % 2}/{n}", warc_file="w", warc_offset=0,
                  measure=n + 0.12345, threshold=7)
        for n, rules in against.items() for rule in rules
    ]  # fmt: skip
    # The same pair stands twice in `captions`, as its page was captured twice; two rules speak against it.
    twice = {"page_id": "3", "image_id": "a", "url": "http://img/a", "detail": "A thing"}
    rejected += [
        rejection("filter", rule, "caption", **twice)
        for rule in ("SHORT_CAPTION", "FEW_CAPTION_CHARACTERS") for _ in range(2)
    ]  # fmt: skip
    rejected += [rejection("filter", "SHORT_CAPTION", "caption", **{**twice, "detail": "Another"})]
    rejected += [rejection("filter", "URL_TOKEN", "image", image_id="b", url="http://IMG:80/b")]
    commit(store, "pages", "extract", {PAGES: pages})
    commit(store, "measures", "filter", {REJECTIONS: rejected}, num_parts=1)
    store.commit("measures", replace(store.manifest("measures"), judged={"page": 5, "caption": 10}))
    return str(tmp_path)


def test_several_rules_for_one_item(judged: str) -> None:
    pages, images, captions = by_rule(judged, NO_LIMIT)
    assert (pages["in"], pages["taken"], pages["out"]) == (5, 3, 2)
    assert [(r["rule"], r["dropped"], r["alone"], r["fraction"]) for r in pages["rules"]] == [
        ("EMOJI", 2, 1, 0.4), ("TOO_SHORT", 2, 1, 0.4), ("URLS", 1, 0, 0.2)
    ]  # fmt: skip
    assert [(r["median"], r["threshold"]) for r in pages["rules"]] == [(1.12, 7), (0.123, 7), (1.12, 7)]
    assert (captions["in"], captions["taken"], captions["out"]) == (10, 3, 7)
    assert [(r["rule"], r["dropped"], r["alone"]) for r in captions["rules"]] == [
        ("SHORT_CAPTION", 3, 1), ("FEW_CAPTION_CHARACTERS", 2, 0)
    ]  # fmt: skip
    assert (images["things"], images["in"], images["taken"], images["out"]) == ("images", None, 1, None)


def test_hosts_are_distinguished_by_name_only(judged: str) -> None:
    told = by_host(judged, NO_LIMIT)
    assert [(h["host"], h["in"], h["taken"], h["rules"]) for h in told["pages"]["hosts"]] == [
        ("h0", 3, 2, {"EMOJI": 1, "TOO_SHORT": 1}), ("h1", 2, 1, {"EMOJI": 1, "TOO_SHORT": 1, "URLS": 1})
    ]  # fmt: skip
    assert [(h["host"], h["in"], h["taken"]) for h in told["images"]["hosts"]] == [("img", 1, 1)]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="no finished step"):
        by_rule(str(tmp_path), NO_LIMIT)
    done = weft("stats", str(tmp_path), "--funnel")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
