"""Assembly of documents from pages and images: each rule, and the corpus of each page."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pytest

from jobs.recipes import load
from pipeline.assemble import PAGES_WITH_IMAGES, assemble_pages
from schemas.recipe import Recipe
from schemas.tables import fraction, image_id

ALL_STAY = ["assemble.single_image_keep_fraction=1"]


def assemble(
    layout: str,
    *assignments: str,
    scores: dict[str, float] | None = None,
    looks: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str | None, str, list[str]]:
    """Assemble one page. `layout` names its blocks: 't' is text, a capital a usable image, a small letter a lost one.

    Returns its corpus, the layout that is left, and the rules that took something.
    """
    empty = dict.fromkeys(("text", "image_url", "alt", "caption", "width", "height"))
    blocks, usable = [], []
    for index, letter in enumerate(layout):
        if letter == "t":
            blocks.append({**empty, "kind": "text", "text": f"words {index}"})
            continue
        blocks.append({**empty, "kind": "image", "image_url": f"http://h.example/{letter}"})
        if letter.isupper():
            score = (scores or {}).get(letter)
            image = image_id(f"http://h.example/{letter}")
            usable.append({"block": index, "image_id": image, "look": looks.get(letter, image), "score": score})
    page = {"page_id": "p", "url": "u", "host": "h", "warc_file": "w", "warc_offset": 7, "captured_at": "",
            "language": "en", "language_score": 1.0, "title": "", "blocks": blocks, "usable": usable}  # fmt: skip
    recipe: Recipe = load("kosmos1", [*ALL_STAY, *assignments])
    batch = pa.RecordBatch.from_pylist([page], schema=PAGES_WITH_IMAGES)
    (row,) = next(assemble_pages(recipe)(iter([batch]))).to_pylist()
    left = "".join("t" if b["kind"] == "text" else b["image_url"][-1] for b in row["blocks"])
    return row["corpus"], left, [_checked(r)["rule"] for r in row["rejected"]]


def _checked(rejection: dict[str, Any]) -> dict[str, Any]:
    assert (rejection["step"], rejection["page_id"], rejection["warc_offset"]) == ("assemble", "p", 7)
    assert (rejection["image_id"] is not None) == (rejection["level"] == "image")
    return rejection


@pytest.mark.parametrize(
    ("layout", "corpus", "left", "rules"),
    [
        ("tAt", "interleaved", "tAt", []),
        ("At", "interleaved", "At", []),
        ("tat", "text", "tt", []),
        ("t", "text", "t", []),
        ("a", None, "", ["NO_CORPUS"]),
        ("", None, "", ["NO_CORPUS"]),
        ("A", None, "A", ["NOT_INTERSPERSED", "NO_CORPUS"]),
        ("tAtAt", "interleaved", "tAtt", ["REPEATED_IMAGE"]),
        ("tAtBtCtDtEtFtGt", "interleaved", "tAtBtCtDtEttt", ["TOO_MANY_IMAGES", "TOO_MANY_IMAGES"]),
        ("taABC", "text", "t", ["NOT_INTERSPERSED"]),
        ("tABCDt", "interleaved", "tABCDt", []),
        ("tABCDEt", "text", "tt", ["NOT_INTERSPERSED"]),
    ],
)
def test_the_corpus_of_a_page(layout: str, corpus: str | None, left: str, rules: list[str]) -> None:
    assert assemble(layout) == (corpus, left, rules)


def test_random_dropping_keeps_the_text() -> None:
    seed = next(s for s in range(100) if fraction(s, "single-image", "p") >= 0.5)
    fair = "assemble.single_image_keep_fraction=0.5"
    assert assemble("tAt", fair, f"seed={seed}") == ("text", "tt", ["SINGLE_IMAGE"])
    assert assemble("tAtB", fair, f"seed={seed}")[0] == "interleaved"
    other = next(s for s in range(100) if fraction(s, "single-image", "p") < 0.5)
    assert assemble("tAt", fair, f"seed={other}")[0] == "interleaved"


def test_scores_drop_an_image_and_keep_the_text() -> None:
    bound = "score.min_image_score=0.25"
    scores = {"A": 0.25, "B": 0.125}
    assert assemble("tAtBt", bound, scores=scores) == ("interleaved", "tAtt", ["LOW_SCORE"])
    assert assemble("tAtBt", scores=scores) == ("interleaved", "tAtBt", [])
    assert assemble("tAt", bound) == ("text", "tt", ["LOW_SCORE"]), "an image that could not be scored cannot reach it"
    assert assemble("tAt", bound, "clip.enabled=false") == ("interleaved", "tAt", []), "but nothing was to be scored"
    assert assemble("tAt") == ("interleaved", "tAt", [])


def test_the_first_of_near_duplicate_images_is_kept() -> None:
    looks = {"A": "same", "C": "same"}
    assert assemble("tAtBtCt", looks=looks) == ("interleaved", "tAtBtt", ["REPEATED_IMAGE"])
    bound = "score.min_image_score=0.25"
    low = assemble("tAtBtCt", bound, looks=looks, scores={"A": 0.125, "B": 0.5, "C": 0.5})
    assert low == ("interleaved", "ttBtCt", ["LOW_SCORE"]), "one that goes for another reason stands in no one's way"


def test_disabled_corpora() -> None:
    assert assemble("tAt", "corpora=[text]") == ("text", "tt", [])
    assert assemble("t", "corpora=[interleaved]") == (None, "t", ["NO_CORPUS"])
    assert assemble("tAt", "corpora=[caption]") == (None, "tAt", ["NO_CORPUS"])
