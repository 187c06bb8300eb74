"""`weft why` on the sample web, compared with its ground truth; and names that are hard to resolve."""

import json
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from handmade import commit, picture, row, text
from runs import weft
from test_jobs_truth import MAX_IMAGES, PAGE_RULES, Expected, capture, gate
from webs import Finished

from pipeline.inspect.why import why
from pipeline.io.store import Store
from schemas.errors import PathError
from schemas.reasons import BY_CODE
from schemas.tables import CAPTIONS, NEAR_DUPLICATE_IMAGES, PAGES, REJECTIONS, image_id, rejection

NO_JAVA = {"PATH": "", "JAVA_HOME": ""}


@pytest.fixture(scope="module")
def expected(finished: Finished) -> Expected:
    return Expected(finished)


def one_of_each(expected: Expected, finished: Finished) -> dict[str, dict[str, Any]]:
    """Return a page of the ground truth for each possible outcome."""
    ids = {capture(p): p["page_id"] for p in finished.rows("pages")}
    found: dict[str, dict[str, Any]] = {}
    for truth in expected.pages:
        end = expected.end(truth, ids[capture(truth)])
        found.setdefault(f"{end} {truth['document_rule']}", {**truth, "end": end, "page_id": ids[capture(truth)]})
    return found


def test_each_page_ends_as_the_ground_truth_says(finished: Finished, expected: Expected) -> None:
    pages = one_of_each(expected, finished)
    assert {key.split()[0] for key in pages} == {"interleaved", "text"} | PAGE_RULES - {"WRONG_LANGUAGE", "TOO_SHORT"}
    for truth in pages.values():
        stories = why(str(finished.output), truth["page_id"])["pages"]
        story = next(s for s in stories if s["warc_file"].endswith(truth["warc_file"]))
        assert (story["url"], story["captured_at"]) == (truth["url"], truth["captured_at"])
        assert story["not_run"] == []
        rules = [r["rule"] for r in story["rejections"] if r["level"] == "page"]
        corpora = [d["corpus"] for d in story["documents"]]
        assert (rules, corpora) == (([truth["end"]], []) if truth["end"] in PAGE_RULES else ([], [truth["end"]]))
        assert all(r["meaning"] == BY_CODE[r["rule"]].meaning for r in story["rejections"])
        assert [i["image_url"] for i in story["images"]] == [b["image"] for b in truth["blocks"] if "image" in b]
        stay = expected.kept_images(truth)[:MAX_IMAGES] if truth["end"] == "interleaved" else []
        assert [i["image_url"] for i in story["images"] if i["in_document"]] == stay
        assert {i["image_url"]: i.get("status") == "ok" for i in story["images"]} == {
            i["image_url"]: expected.images[i["image_url"]]["fate"] == "ok" and i["image_url"] in expected.fetched
            for i in story["images"]
        }


def test_captions_of_a_page_end_in_their_corpus_or_by_a_rule(finished: Finished, expected: Expected) -> None:
    samples = {(d["blocks"][0]["image_url"], d["blocks"][1]["text"]) for d in finished.rows("documents")
               if d["corpus"] == "caption"}  # fmt: skip
    for truth in one_of_each(expected, finished).values():
        story = why(str(finished.output), truth["page_id"])["pages"][0]
        assert {(c["image_url"], c["caption"]) for c in story["captions"]} == {
            (url, " ".join(alt.split())) for url, alt, _ in truth["captions"]
        }
        for pair in story["captions"]:
            assert bool(pair["sample"]) == ((pair["image_url"], pair["caption"]) in samples)
            assert bool(pair["sample"]) != bool(pair["rejections"])


def test_a_page_that_was_not_extracted(finished: Finished, expected: Expected) -> None:
    for truth in {gate(t): t for t in expected.gated}.values():
        (story,) = why(str(finished.output), truth["url"])["pages"]
        assert [r["rule"] for r in story["rejections"]] == [gate(truth)]
        assert "texts" not in story and story["documents"] == []
        assert story["rejections"][0]["measure"] < story["rejections"][0]["threshold"]


def test_each_image_ends_as_the_ground_truth_says(finished: Finished, expected: Expected) -> None:
    on_pages = defaultdict(set)
    for page in expected.pages:
        for url in [b["image"] for b in page["blocks"] if "image" in b] + [url for url, _, _ in page["captions"]]:
            on_pages[url].add(page["url"])
    ends = {url: "DUPLICATE_IMAGE" if url in expected.duplicates else expected.images[url]["fate"]
            for url in sorted(expected.fetched)}  # fmt: skip
    assert len(set(ends.values())) > 6
    for url in {end: url for url, end in ends.items()}.values():
        (story,) = why(str(finished.output), url)["images"]
        assert story["image_id"] == image_id(url)
        assert {p["url"] for p in story["pages"]} == on_pages[url]
        rules = [r["rule"] for r in story["rejections"] if "page_id" not in r]
        assert rules == ([] if ends[url] == "ok" else [ends[url]])
        if ends[url] != "ok":
            assert story["documents"] == []
    duplicate, survivor = next(iter(expected.duplicates.items()))
    assert image_id(duplicate) in why(str(finished.output), survivor)["images"][0]["stands_for"]


def test_a_sample_is_in_the_named_shard(finished: Finished, expected: Expected) -> None:
    page = next(t for t in one_of_each(expected, finished).values() if t["end"] == "interleaved")
    story = why(str(finished.output), page["page_id"])["pages"][0]
    image = next(i for i in story["images"] if i["in_document"])
    documents = why(str(finished.output), image["image_id"])["images"][0]["documents"]
    assert story["documents"][0] in documents
    assert {d["corpus"] for d in documents} == {"interleaved", "caption"}
    for d in documents:
        with tarfile.open(finished.output / d["tar"]) as tar:
            keys = list(dict.fromkeys(name.split(".")[0] for name in tar.getnames()))
        assert keys[d["position"]] == d["key"]
    named = next(d for d in documents if d["corpus"] == "caption")["key"]
    assert why(str(finished.output), named)["images"][0]["image_id"] == image["image_id"]


def test_output_as_text_and_as_json(finished: Finished, expected: Expected) -> None:
    page = next(t for key, t in one_of_each(expected, finished).items() if key.startswith("EMOJI"))
    told = weft("why", str(finished.output), page["url"], **NO_JAVA)
    assert told.returncode == 0, told.stderr
    words = " ".join(told.stdout.split())
    for said in (page["url"], page["page_id"], page["warc_file"], "EMOJI, " + BY_CODE["EMOJI"].meaning, "bound 0.1",
                 "dropped with the page (EMOJI)", "dropped: EMOJI", "in corpus caption as"):  # fmt: skip
        assert said in words
    assert all(len(line) <= 80 for line in told.stdout.splitlines() if "/" not in line)
    as_json = weft("why", str(finished.output), page["url"], "--json", **NO_JAVA).stdout
    assert json.loads(as_json) == why(str(finished.output), page["url"])


@pytest.mark.parametrize("name", ["nowhere", "0" * 32, "http://nowhere.example/"])
def test_unknown_items(finished: Finished, name: str) -> None:
    with pytest.raises(PathError, match=f"(?s){name}.*was its archive among the inputs"):
        why(str(finished.output), name)


def test_an_unknown_name_gives_one_line(finished: Finished, tmp_path: Path) -> None:
    for arguments, words in (
        (
            [str(finished.output), "http://nowhere.example/a"],
            ("http://nowhere.example/a/", "https://nowhere.example/a"),
        ),
        ([str(tmp_path), "http://nowhere.example/"], ("no finished step", "weft run")),
    ):
        done = weft("why", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert all(word in done.stderr for word in words)


@pytest.fixture(params=["local", "memory"])
def extracted(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A run after extract, on a disk and through fsspec: a page captured twice, and a record."""
    root = str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"
    blocks = [text("Some words."), picture("http://x/a.jpg"), text("More."), picture("http://x/b.jpg")]
    pages = [
        row(PAGES, page_id=f"{n:032x}", url="http://x/page/", warc_offset=n, captured_at=f"2024-0{n}", blocks=blocks)
        for n in (2, 1)
    ]
    caption = {"image_id": image_id("http://x/a.jpg"), "image_url": "http://x/a.jpg", "caption": "A thing"}
    captions = [row(CAPTIONS, **caption, page_id=f"{1:032x}")]
    rejected = [
        rejection("extract", "TRUNCATED_RECORD", "record", url="http://x/cut", warc_file="w", warc_offset=7),
        rejection("extract", "FILE_NAME_CAPTION", "caption", page_id=f"{1:032x}", image_id=image_id("http://x/b.jpg"),
                  url="http://x/b.jpg", warc_file="w", warc_offset=1, detail="b.jpg"),
    ]  # fmt: skip
    commit(Store(root), "pages", "extract", {PAGES: pages, CAPTIONS: captions, REJECTIONS: rejected})
    return root


def test_steps_that_have_not_run_are_named(extracted: str, capsys: pytest.CaptureFixture[str]) -> None:
    from jobs.cli.why import show_why

    stories = why(extracted, "http://x/page/")["pages"]
    assert [s["page_id"] for s in stories] == [f"{n:032x}" for n in (1, 2)], "by time of capture"
    assert stories[0]["not_run"] == ["filter", "fetch", "dedup", "score", "assemble", "shard"]
    assert [(c["caption"], [r["rule"] for r in c["rejections"]]) for c in stories[0]["captions"]] == [
        ("A thing", []), ("b.jpg", ["FILE_NAME_CAPTION"])
    ]  # fmt: skip
    show_why(extracted, "http://x/page/", as_json=False)
    assert "filter, fetch, dedup, score, assemble, shard have not run" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["http://x/page", "https://x/page/", "https://x/page#part", "http://x/page/#part"])
def test_url_variants_are_accepted(extracted: str, name: str) -> None:
    assert len(why(extracted, name)["pages"]) == 2


def test_a_record_and_an_image_that_were_not_requested(extracted: str) -> None:
    (record,) = why(extracted, "http://x/cut")["pages"]
    assert (record["page_id"], record["warc_offset"]) == (None, 7)
    assert [r["rule"] for r in record["rejections"]] == ["TRUNCATED_RECORD"]
    (image,) = why(extracted, "http://x/a.jpg")["images"]
    assert [(p["page_id"], p["blocks"], p["captions"]) for p in image["pages"]] == [
        (f"{1:032x}", [1], ["A thing"]), (f"{2:032x}", [1], [])
    ]  # fmt: skip
    assert [p["blocks"] for p in why(extracted, "http://x/b.jpg")["images"][0]["pages"]] == [[3], [3]]


def test_images_that_their_page_forbids(tmp_path: Path) -> None:
    store, place = Store(str(tmp_path)), {"page_id": "p" * 32, "warc_file": "w", "warc_offset": 0}
    forbidden = [
        rejection(
            "extract", "OPT_OUT", "image", image_id=image_id(url), url=url, detail="meta robots: noimageai", **place
        )
        for url in ("http://x/a.jpg", "http://x/b.jpg")
    ]
    page = row(PAGES, page_id="p" * 32, url="http://x/page", blocks=[text("Words alone.")])
    commit(store, "pages", "extract", {PAGES: [page], REJECTIONS: forbidden})
    (story,) = why(str(tmp_path), "http://x/page")["pages"]
    assert story["rejections"] == [], "the page itself stays"
    assert {(i["image_url"], i["block"], i["rejections"][0]["rule"]) for i in story["images"]} == {
        ("http://x/a.jpg", None, "OPT_OUT"), ("http://x/b.jpg", None, "OPT_OUT")
    }  # fmt: skip
    (image,) = why(str(tmp_path), "http://x/a.jpg")["images"]
    assert [(r["rule"], r["page_id"]) for r in image["rejections"]] == [("OPT_OUT", "p" * 32)]


def test_lookalikes_name_each_other(extracted: str) -> None:
    a, b, c = (image_id(f"http://x/{name}.jpg") for name in "abc")
    looks = [row(NEAR_DUPLICATE_IMAGES, image_id=image, cluster="same") for image in (a, b)]
    looks.append(row(NEAR_DUPLICATE_IMAGES, image_id=c, cluster="other"))
    goes = rejection("dedup", "NEAR_DUPLICATE_IMAGE", "image", image_id=b, url="http://x/b.jpg", measure=2, threshold=4,
                     detail=a)  # fmt: skip
    commit(Store(extracted), "rejections/dedup", "dedup", {NEAR_DUPLICATE_IMAGES: looks, REJECTIONS: [goes]})
    (story,) = why(extracted, a)["images"]
    assert (story["near_duplicates"], story["stands_for"], story["rejections"]) == ([b], [b], [])
    (story,) = why(extracted, b)["images"]
    *_, last = story["rejections"]
    assert (last["rule"], last["measure"], last["threshold"], last["detail"]) == ("NEAR_DUPLICATE_IMAGE", 2, 4, a)
