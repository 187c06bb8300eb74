"""Warnings of a run, by hand-made manifests: all losses that look like a success, and no false ones."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.inspect.funnel import RunWarning, find_warnings
from pipeline.io.store import Manifest, Store
from schemas.tables import STEPS

SOUND: dict[str, dict[str, Any]] = {
    "extract": {"counts": {"archives": 2, "pages": 600}, "judged": {"page": 1000}, "rejected": {"WRONG_LANGUAGE": 400}},
    "filter": {"counts": {"pages": 500}, "judged": {"page": 600}, "rejected": {"TOO_SHORT": 100}},
    "fetch": {"counts": {"ok": 200, "too_small": 700, "http_4xx": 90, "dns": 10}, "judged": {"image": 1000}},
    "dedup": {"counts": {"pages": 450}, "judged": {"page": 500}, "rejected": {"DUPLICATE_TEXT": 50}},
    "score": {"counts": {"images": 200}},
    "assemble": {"counts": {"interleaved": 5, "caption": 100}, "judged": {"page": 450}},
    "shard": {"counts": {"caption_samples": 100}},
}


def warned(folder: Path, upto: str = "shard", **changed: dict[str, Any]) -> list[RunWarning]:
    store = Store(str(folder))
    for step, place in ((s.name, s.folder) for s in STEPS.values()):
        facts = {**SOUND[step], **changed.get(step, {})}
        recipe = {"corpora": ["interleaved", "caption"]}
        store.commit(place, Manifest(step, recipe, {}, {}, {}, **facts))
        if step == upto:
            break
    return find_warnings(str(folder))


def test_a_normal_run_has_no_warnings(tmp_path: Path) -> None:
    assert warned(tmp_path) == []
    assert warned(tmp_path / "non-html", extract={"rejected": {"NO_IMAGE": 400}}) == []


def test_a_run_that_lost_its_images_says_so_first(tmp_path: Path) -> None:
    counts = {"ok": 10, "dns": 600, "timeout": 300, "http_4xx": 90}
    (found,) = warned(tmp_path, fetch={"counts": counts, "notes": {"guard": "DNS drops 60 %"}})
    assert found == RunWarning(
        "fetch",
        "only 10 of 1,000 images are kept (1.0 %): dns 60 %, timeout 30 %, http_4xx 9.0 %",
        "`weft fetch --output OUT --retry dns,timeout` retries them; "
        "`weft stats OUT --funnel --by host` lists the hosts",
    )


@pytest.mark.parametrize(
    ("step", "facts", "words"),
    [
        ("fetch", {"counts": {"dns": 1}}, "only 0 of 1 images are kept (0 %): dns 100 %"),
        ("fetch", {"counts": {"ok": 1, "too_small": 999}}, "only 1 of 1,000 images are kept (0.1 %): too_small 99.9 %"),
        ("extract", {"counts": {"pages": 3}, "rejected": {"WRONG_LANGUAGE": 900, "TOO_SHORT": 97, "EMOJI": 1}},
         "only 3 of 1,000 pages are kept (0.3 %): WRONG_LANGUAGE 900, TOO_SHORT 97, EMOJI 1"),
        ("dedup", {"counts": {"pages": 0}}, "only 0 of 500 pages are kept (0 %): DUPLICATE_TEXT 50"),
        ("extract", {"rejected": {"UNREADABLE": 30, "BAD_HTTP": 1}},
         "3.0 % of the records cannot be read (UNREADABLE 30, BAD_HTTP 1)"),
        ("extract", {"rejected": {"PAGE_TIMEOUT": 20}}, "extraction failed on 2.0 % of 1,000 pages (PAGE_TIMEOUT 20)"),
        ("filter", {"notes": {"guard": "EMOJI drops 96 %"}}, "EMOJI drops 96 %"),
        ("assemble", {"counts": {"caption": 7}}, "no interleaved document was made"),
    ],
)  # fmt: skip
def test_each_loss_has_a_remedy(step: str, facts: dict[str, Any], words: str, tmp_path: Path) -> None:
    (found,) = warned(tmp_path, **{step: facts})
    assert (found.step, found.text) == (step, words)
    assert found.remedy


def test_archives_without_pages_are_named(tmp_path: Path) -> None:
    note = "1 of 2 archives hold no page: a.warc.wet.gz (no response in it)"
    (found,) = warned(tmp_path, extract={"notes": {"archives": note}})
    assert (found.text, found.names) == ("1 of 2 archives hold no page", "a.warc.wet.gz (no response in it)")


def test_steps_that_are_not_finished(tmp_path: Path) -> None:
    (found,) = warned(tmp_path, upto="fetch")
    assert (found.step, found.text) == ("dedup", "not finished: dedup, score, assemble, shard")


def test_no_run_has_no_warnings(tmp_path: Path) -> None:
    assert find_warnings(str(tmp_path)) == []
