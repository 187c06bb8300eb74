"""Texts of images: tests/cases/captions holds texts with their cleaned form, or the reason to drop them."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.html.captions import STOCK_PHRASES, Caption, Unusable, caption_of, clean
from pipeline.html.extract import extract_archive
from pipeline.html.images import Image
from pipeline.io.store import Store
from schemas.reasons import REASONS
from schemas.recipe import Extract


def cases(name: str) -> list[dict]:
    path = Path(__file__).parent.parent / "cases" / "captions" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def image(alt: str = "", title: str = "", caption: str = "") -> Image:
    return Image("http://host.example/a.jpg", alt, title, caption, None, None)


@pytest.mark.parametrize("case", cases("cleaned"), ids=lambda c: c["name"])
def test_the_cleaned_form_of_a_text(case: dict) -> None:
    assert clean(case["text"]) == Caption(case["caption"])


@pytest.mark.parametrize("case", cases("unusable"), ids=lambda c: c["text"])
def test_texts_without_information(case: dict) -> None:
    assert clean(case["text"]) == Unusable(case["reason"], case["text"])


def test_the_first_usable_text_is_taken() -> None:
    assert caption_of(image("An oak", "By the oak", "Under the oak")) == Caption("An oak")
    assert caption_of(image("IMG_1.jpg", "By the oak", "Under the oak")) == Caption("Under the oak")
    assert caption_of(image("", "By the oak", "logo")) == Caption("By the oak")
    assert caption_of(image("IMG_1.jpg", "", "logo")) == Unusable("FILE_NAME_CAPTION", "IMG_1.jpg")
    assert caption_of(image()) is None


_PIECES = st.sampled_from(["image", "of", "an", "photo:", "3", "/", "12", "(2)", " - ", ".jpg", "&amp;", "&lt;", "<b>",
                           "b&gt;", "IMG_", "-", "_", " ", ":", "slide", "1x1", "\u200b", "cat"])  # fmt: skip


@given(st.text(max_size=80) | st.lists(_PIECES, max_size=14).map("".join) | st.lists(_PIECES, max_size=9).map(" ".join))
def test_cleaning_is_idempotent(text: str) -> None:
    found = clean(text)
    if isinstance(found, Caption):
        assert found.text.strip() == found.text != ""
        assert clean(found.text) == found
    else:
        assert found.rule in {r.code for r in REASONS if r.level == "caption"}
        assert found.written == text


@pytest.mark.parametrize("unit", ["-", "- ", "_", "img_", "(1", "&amp;", "<b", "1/", "a-", "screenshot "])
def test_long_texts_take_linear_time(unit: str) -> None:
    clean("img_123" + unit * 100_000)  # would not end, were one of the patterns to try every division


def test_stock_phrases_are_written_as_they_are_looked_up() -> None:
    assert all(isinstance(clean(phrase.upper() + "."), Unusable) for phrase in STOCK_PHRASES)


def test_rows_of_an_archive(tmp_path: Path) -> None:
    body = "<img src=a.jpg alt='Photo of a barn'><img src=a.jpg alt='a barn'><img src=b.jpg alt=logo><img src=c.jpg>"
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><p>Words.</p>{body}</html>"
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://host.example/\r\nWARC-Date: 2024-03-01T10:00:00Z"
        f"\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    (tmp_path / "a.warc").write_bytes(f"{head}{http}\r\n\r\n".encode())
    store = Store(str(tmp_path / "run"))
    commit = extract_archive(str(tmp_path / "a.warc"), store, Extract())
    captions, rejections = (
        pq.read_table(store.at(commit["files"][name])).to_pylist() for name in ("captions", "rejections")
    )
    assert [(r["image_url"], r["caption"]) for r in captions] == [("http://host.example/a.jpg", "a barn")]
    (row,) = rejections
    known = (row["step"], row["rule"], row["level"], row["url"], row["detail"], row["warc_file"], row["warc_offset"])
    path = str(tmp_path / "a.warc")
    assert known == ("extract", "BOILERPLATE_CAPTION", "caption", "http://host.example/b.jpg", "logo", path, 0)
    assert row["image_id"] and row["page_id"] == captions[0]["page_id"]
    assert commit["rejected"] == {"BOILERPLATE_CAPTION": 1}
