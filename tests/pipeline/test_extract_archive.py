"""Extraction of one archive: every response gives a page or a rejection, and an error costs only itself."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.extract import _notes, find_replaced_archives
from jobs.step import num_of_level
from pipeline.html import extract as extraction
from pipeline.html.captions import Caption
from pipeline.html.extract import extract_archive
from pipeline.html.page import Page
from pipeline.io.store import Store, read_commits
from schemas.recipe import Extract, PrefilterConfig
from schemas.tables import REJECTIONS

WORDS = "The harbour was rebuilt after the storm, and the old mill by the river grinds flour again. " * 6


def warc(
    name: str, body: str, content_type: str = "text/html", status: str = "200 OK", kind: str = "response"
) -> bytes:
    block = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n\r\n{body}".encode()
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a.example/{name}\r\nContent-Length: {len(block)}"
    return f"{head}\r\n\r\n".encode() + block + b"\r\n\r\n"


def page(name: str) -> bytes:
    return warc(name, f"<html><body><main><p>{name}. {WORDS}</p><img src={name}.jpg alt='The {name} mill'></main>")


def rows(store: Store, commit: dict, table: str) -> list[dict]:
    return pq.read_table(store.at(commit["files"][table])).to_pylist()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def test_every_response_ends_in_pages_or_in_rejections(tmp_path: Path, store: Store) -> None:
    records = [page("old"), warc("a.png", "", "image/png"), warc("b", "<html>", status="404 Not Found"),
               warc("c", "", status="302 Found", content_type=""), warc("d", "\1\2\3" * 99), page("new")]  # fmt: skip
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    commit = extract_archive(
        str(tmp_path / "a.warc"), store, Extract(prefilter=PrefilterConfig(languages=(), min_language_score=0))
    )
    places = [sum(map(len, records[:number])) for number in range(len(records))]
    found = {row["warc_offset"]: "page" for row in rows(store, commit, "pages")}
    found |= {row["warc_offset"]: row["rule"] for row in rows(store, commit, "rejections")}
    expected = ["page", "NOT_HTML", "HTTP_STATUS", "NOT_HTML", "BINARY_BODY", "page"]
    assert found == dict(zip(places, expected, strict=True))
    assert num_of_level(commit["rejected"], "page") == 2, "what is no page counts as none that a rule took"


@pytest.mark.parametrize("fault", ["raises", "fits no table"])
def test_a_page_that_fails_costs_only_itself(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def caption_of(image: object) -> Caption:
        words = str(getattr(image, "alt", ""))
        if "bad" in words and fault == "raises":
            raise RecursionError("too deep \ud800")
        return Caption("\ud800" if "bad" in words else words)

    monkeypatch.setattr(extraction, "caption_of", caption_of)
    (tmp_path / "a.warc").write_bytes(page("first") + page("bad") + page("last"))
    commit = extract_archive(
        str(tmp_path / "a.warc"), store, Extract(prefilter=PrefilterConfig(languages=(), min_language_score=0))
    )
    assert [row["url"] for row in rows(store, commit, "pages")] == ["http://a.example/first", "http://a.example/last"]
    assert len(rows(store, commit, "captions")) == commit["counts"]["captions"] == 2
    (row,) = rows(store, commit, "rejections")
    assert row.keys() == {column.name for column in REJECTIONS.columns}
    assert (row["rule"], row["warc_offset"]) == ("EXTRACTION_FAILED", len(page("first")))
    assert row["warc_file"] == str(tmp_path / "a.warc") and row["detail"].startswith(
        ("RecursionError", "UnicodeEncode")
    )


def test_a_page_whose_text_is_too_large_for_a_table(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "extract_page", lambda *_: Page("\ud800", [], []))
    (tmp_path / "a.warc").write_bytes(page("bad"))
    commit = extract_archive(
        str(tmp_path / "a.warc"), store, Extract(prefilter=PrefilterConfig(languages=(), min_language_score=0))
    )
    assert commit["rejected"] == {"EXTRACTION_FAILED": 1} and not rows(store, commit, "pages")


def test_archives_without_pages_give_one_line(tmp_path: Path, store: Store) -> None:
    archives = {"a.wet": warc("a", "text", kind="conversion"), "b.warc": page("b"), "c.txt": b"words"}
    for name, data in archives.items():
        (tmp_path / name).write_bytes(data)
        extract_archive(str(tmp_path / name), store, Extract())
    named = f"{tmp_path}/a.wet (no response in it), {tmp_path}/c.txt (not an archive)"
    assert _notes(read_commits(store), {}) == {"archives": f"2 of 3 archives hold no page: {named}"}


def test_an_archive_that_was_replaced_is_named_with_the_remedy(tmp_path: Path, store: Store) -> None:
    names = [str(tmp_path / name) for name in ("a.warc", "b.warc", "c.warc", "never-read.warc")]
    for name in names:
        Path(name).write_bytes(page("one"))
    for name in names[:3]:
        extract_archive(name, store, Extract())
    assert find_replaced_archives(store, names) is None
    Path(names[0]).write_bytes(page("another"))
    status = Path(names[1]).stat()
    os.utime(names[1], ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    warning = find_replaced_archives(store, names)
    assert warning is not None
    assert warning.startswith("2 of 3 archives were replaced after they were read")
    assert f"{names[0]}, {names[1]}." in warning and "--overwrite: it deletes all pages" in warning
    Path(names[2]).unlink()
    assert "2 of 3" in str(find_replaced_archives(store, names)), "what is gone is not replaced"
