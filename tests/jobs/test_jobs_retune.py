"""Another recipe for a finished filter step: decisions from stored measures equal those of a new run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fetching import rows
from handmade import commit, picture, row, text

from jobs import dedup, filter
from jobs.recipes import load
from jobs.run import run
from pipeline.io.store import Manifest, Store
from schemas.errors import RecipeError
from schemas.tables import CAPTIONS, PAGES, image_id

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

URL = "http://x/a"
BASE = [
    "filters.language.min_score=0.5",
    "filters.language.keep=[en, de]",
    "filters.text.min_words=4",
    "filters.text.max_words=100",
    "filters.gibberish.max_url_fraction=0.5",
    "filters.paragraph.min_words=2",
]
CHANGED = ["filters.language.keep=[en]", "filters.text.min_words=6", "filters.gibberish.max_url_fraction=0.1"]


def extracted(folder: Path) -> str:
    words = "one two three four five six seven eight nine"
    pages = [
        row(PAGES, page_id=f"{n}", warc_offset=n, language="de" if n == 7 else "en", language_score=0.4 + n / 10,
            blocks=[text(words.rsplit(" ", 9 - n)[0]), picture(URL), text("gone"), text("see http://x/ too")])
        for n in range(2, 9)
    ]  # fmt: skip
    captions = [row(CAPTIONS, image_id=image_id(URL), image_url=URL, caption="two words", page_id="3")]
    commit(Store(str(folder)), "pages", "extract", {PAGES: pages, CAPTIONS: captions})
    return str(folder)


def filtered(output: str, *assignments: str) -> Manifest:
    return run((filter.STEP,), load("everything", [*BASE, *assignments]), output)["filter"]


def tables(output: str) -> list[Any]:
    found = [rows(Path(output), folder) for folder in ("measures", "rejections/filter")]
    return [sorted(of_folder, key=str) for of_folder in found]


def test_it_equals_a_new_run(tmp_path: Path, spark: "SparkSession") -> None:
    output, fresh = extracted(tmp_path / "a"), extracted(tmp_path / "b")
    before = filtered(output)
    assert before.rejected == {"PARAGRAPH_TOO_SHORT": 7}
    retuned, anew = filtered(output, *CHANGED), filtered(fresh, *CHANGED)
    assert tables(output) == tables(fresh)
    assert (retuned.counts, retuned.rejected, retuned.judged) == (anew.counts, anew.rejected, anew.judged)
    # 2 to 8 words of one paragraph and three of the other: 5 to 11, of which one is an address.
    assert retuned.notes["changed"] == (
        "from stored measures: kept pages 7 -> 1; TOO_SHORT 0 -> 1; URLS 0 -> 5; WRONG_LANGUAGE 0 -> 1"
    )
    assert not any((tmp_path / "a" / file).exists() for of_table in before.files.values() for file in of_table)
    assert filtered(output, *CHANGED) == retuned, "nothing is left to do"


def test_back_again(tmp_path: Path, spark: "SparkSession") -> None:
    output = extracted(tmp_path)
    first = filtered(output)
    kept = tables(output)
    filtered(output, *CHANGED)
    again = filtered(output)
    assert tables(output) == kept
    assert again.rejected == first.rejected


@pytest.mark.parametrize("change", ["filters.paragraph.min_words=1", "filters.text.min_sentences=1"])
def test_missing_measures_are_computed(change: str, tmp_path: Path, spark: "SparkSession") -> None:
    output, fresh = extracted(tmp_path / "a"), extracted(tmp_path / "b")
    filtered(output)
    assert filtered(output, change).notes["changed"].startswith("measured again: kept pages 7 -> ")
    filtered(fresh, change)
    assert tables(output) == tables(fresh)


def test_only_alone(tmp_path: Path, spark: "SparkSession") -> None:
    output = extracted(tmp_path)
    filtered(output)
    with pytest.raises(RecipeError, match=r"filters\.text\.min_words=4, not 6.*`weft filter`"):
        run((filter.STEP, dedup.STEP), load("everything", [*BASE, *CHANGED]), output)
