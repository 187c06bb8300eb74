"""Each shipped recipe drops exactly the expected pages, paragraphs, images and captions of the sample web.

Expectations follow from the ground truth and simple counts (rules.py). Pages are extracted without a prefilter, so
that filters read those in other languages and the shortest too.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from plain import Text
from rules import RULES, broken
from webs import Web

from filters import CAPTION_FILTERS, IMAGE_FILTERS
from filters.filter import Filter
from jobs.recipes import load, names
from pipeline.filter import filter_pages, filter_rows
from pipeline.html.extract import extract_archive
from pipeline.io.store import Store
from schemas.recipe import Extract, Recipe

OUT_OF_REACH = {("fineweb", "TOO_LONG"): "100,000 words are more than all other pages of the sample web have"}
CAPTION_RULES = {"min_words": "SHORT_CAPTION", "min_characters": "FEW_CAPTION_CHARACTERS"}
Row = dict[str, Any]
Capture = tuple[str, str, str]
Against = set[tuple[str, int | None]]
"""Rules that speak against a page, each with the number of the block that breaks it, or None for the page itself."""


def capture(row: Row) -> Capture:
    return row["url"], row["captured_at"], row["warc_file"].rsplit("/", 1)[-1]


def bounds(section: Any) -> dict[str, float]:
    return {key: bound for key, bound in section.model_dump().items() if bound is not None}


class Extracted:
    """The extracted sample web, and its ground truth."""

    def __init__(self, web: Web, output: Path) -> None:
        for archive in web.archives:
            extract_archive(archive, Store(str(output)), Extract())
        self.pages, self.captions = (
            ds.dataset([str(p) for p in output.glob(f"{table}/*.parquet")]).to_table()
            for table in ("pages", "captions")
        )
        self.rows = {capture(row): row for row in self.pages.to_pylist()}
        self.truth = {capture(t): t for t in web.truth("truth.jsonl") if t["fate"] != "HTTP_STATUS"}
        self.images = web.truth("truth-images.jsonl")


@dataclass(frozen=True)
class Judged:
    """The sample web with one recipe: planted faults, expected rejections, and actual ones."""

    name: str
    recipe: Recipe
    web: Extracted

    @cached_property
    def goes(self) -> dict[Capture, Against]:
        batches = filter_pages(self.recipe)(iter(self.web.pages.to_batches()))
        judged = [row for batch in batches for row in batch.to_pylist()]
        assert all(row["reasons"] == [a["rule"] for a in row["rejected"] if a["level"] == "page"] for row in judged)
        return {
            capture(page): {(a["rule"], a["block"]) for a in row["rejected"]}
            for page, row in zip(self.web.rows.values(), judged, strict=True)
        }

    @cached_property
    def rules(self) -> set[str]:
        """Every rule on pages, paragraphs, images and captions that the recipe enables."""
        filters = self.recipe.filters
        found = {RULES[key][0] for key in (*bounds(filters.text), *bounds(filters.gibberish))}
        found |= {f"PARAGRAPH_{RULES[key][0]}" for key in bounds(filters.paragraph)}
        found |= {CAPTION_RULES[key] for key, bound in bounds(filters.caption).items() if bound > 1}  # 1 is no bound
        found |= {"WRONG_LANGUAGE"} if filters.language.keep else set()
        found |= {"LOW_LANGUAGE_SCORE"} if filters.language.min_score else set()
        return found | ({"URL_TOKEN"} if filters.image.url_tokens else set())

    def must_go(self, key: Capture) -> Against:
        """Return the expected reasons of a page by simple counts over its kept paragraphs, with its true language."""
        filters, truth = self.recipe.filters, self.web.truth[key]
        texts = {i: b["text"] for i, b in enumerate(self.web.rows[key]["blocks"]) if b["kind"] == "text"}
        gone = {i: broken(text, bounds(filters.paragraph)) for i, text in texts.items()}
        left = "\n\n".join(text for i, text in texts.items() if not gone[i])
        found: Against = {(f"PARAGRAPH_{rule}", i) for i, rules in gone.items() for rule in rules}
        found |= {(rule, None) for rule in broken(left, bounds(filters.text) | bounds(filters.gibberish))}
        if filters.language.keep and truth["language"] not in filters.language.keep:
            found.add(("WRONG_LANGUAGE", None))
        elif filters.language.min_score and truth["fate"] == "LOW_LANGUAGE_SCORE":
            found.add(("LOW_LANGUAGE_SCORE", None))
        return found

    @cached_property
    def captions(self) -> dict[tuple[str, str, str], set[str]]:
        """The rules that drop each caption, by its page, image and text."""
        rows = self._rows(self.web.captions, CAPTION_FILTERS)
        return {(r["page_id"], r["image_url"], r["caption"]): {a["rule"] for a in r["rejected"]} for r in rows}

    @cached_property
    def images(self) -> dict[str, set[str]]:
        """The rules that drop each image, by its URL."""
        addresses = pa.table({"image_url": [image["image_url"] for image in self.web.images]})
        return {r["image_url"]: {a["rule"] for a in r["rejected"]} for r in self._rows(addresses, IMAGE_FILTERS)}

    def _rows(self, table: pa.Table, filters: tuple[Filter, ...]) -> list[Row]:
        return [row for b in filter_rows(filters, self.recipe)(iter(table.to_batches())) for row in b.to_pylist()]

    def takes(self, rule: str, key: Capture, block: int | None) -> bool:
        """Return whether a rule drops a page, or a paragraph, image or caption of its ground truth."""
        page, planted = self.web.rows[key], None if block is None else self.web.truth[key]["blocks"][block]
        if planted is None:
            return (rule, None) in self.goes[key]
        if "text" in planted:
            return (rule, next(i for i, b in enumerate(page["blocks"]) if b["text"] == planted["text"])) in self.goes[
                key
            ]
        return rule in self.images[planted["image"]] | self.captions[page["page_id"], planted["image"], planted["alt"]]


@pytest.fixture(scope="module")
def extracted(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Extracted:
    return Extracted(web, tmp_path_factory.mktemp("extracted"))


@pytest.fixture(scope="module", params=names())
def judged(request: pytest.FixtureRequest, extracted: Extracted) -> Judged:
    return Judged(request.param, load(request.param), extracted)


def test_every_page_and_paragraph_has_exactly_its_reasons(judged: Judged) -> None:
    assert judged.goes.keys() == judged.web.truth.keys()
    assert judged.goes == {key: judged.must_go(key) for key in judged.goes}


def test_every_caption_has_exactly_its_reasons(judged: Judged) -> None:
    low = bounds(judged.recipe.filters.caption)
    expected = {}
    for key, truth in judged.web.truth.items():
        for url, alt, _ in truth["captions"]:
            measures = {"min_words": Text(alt).num_words, "min_characters": len(alt)}
            missed = {CAPTION_RULES[bound] for bound in low if measures[bound] < low[bound]}
            expected[judged.web.rows[key]["page_id"], url, " ".join(alt.split())] = missed
    assert judged.captions == expected


def test_every_image_has_exactly_its_reason(judged: Judged) -> None:
    tokens = judged.recipe.filters.image.url_tokens
    named = {url for url in judged.images if any(token in url.lower() for token in tokens)}
    assert judged.images == {url: {"URL_TOKEN"} if url in named else set() for url in judged.images}


def test_planted_faults_are_dropped_by_every_recipe_with_a_threshold(judged: Judged) -> None:
    for key, truth in judged.web.truth.items():
        planted = {(f["rule"], f["block"]) for f in truth["faults"] if f["rule"] in judged.rules}
        taken = {(rule, block) for rule, block in planted if judged.takes(rule, key, block)}
        assert planted - taken == {(rule, None) for rule, _ in planted if (judged.name, rule) in OUT_OF_REACH}, key


def test_every_rule_has_a_planted_fault(judged: Judged) -> None:
    every = judged.web.truth.values()
    planted = {truth["fate"] for truth in every} | {fault["rule"] for truth in every for fault in truth["faults"]}
    assert judged.rules <= planted
    taken = {rule for against in judged.goes.values() for rule, _ in against}
    taken = taken.union(*judged.captions.values(), *judged.images.values())
    assert judged.rules - taken == {rule for name, rule in OUT_OF_REACH if name == judged.name}
    assert taken <= judged.rules
