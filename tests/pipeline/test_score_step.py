"""The step on tables of its own: every pair of a page scored, long blocks by their sentences, nothing lost."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from handmade import commit, picture, row, text
from test_score_embed import HOME, embedded, jpeg

from jobs import score
from jobs.step import Context, Outcome
from pipeline.io.store import Store
from pipeline.score.clip import IMAGES as PICTURES
from pipeline.score.clip import TEXTS
from schemas.recipe import Recipe
from schemas.tables import IMAGES, PAGES, image_id, text_id
from tests.sampleweb import captions
from tests.sampleweb.clip_scenes import scenes
from tests.sampleweb.drawing import render

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCENES = scenes("held-out", 12)
RECIPE = Recipe(name="test", corpora=("interleaved",), clip={"model": HOME, "keep_embeddings": True})
LONG = " ".join(f"{captions.caption(s).capitalize()}." for s in SCENES)  # each a sentence; together beyond the window
EMOJI, SHORT = "🌟🔵🌟", captions.caption(SCENES[0])
MANY = 500


def url(number: int) -> str:
    return f"https://images.test/{number}.jpg"


def page(name: str, numbers: list[int], *texts: str) -> dict[str, Any]:
    return row(PAGES, page_id=name, warc_file=name, blocks=[*(picture(url(n)) for n in numbers), *map(text, texts)])


def image(number: int, data: bytes) -> dict[str, Any]:
    return row(IMAGES, image_id=image_id(url(number)), image_url=url(number), status="ok", bytes=data)


PICTURE = {n: jpeg(render(SCENES[n % 12], 64, 64, n)) for n in range(12)}
CORRUPT = 3
PAGES_MADE = [
    page("many", list(range(MANY)), SHORT),
    page("mixed", [0, 1, CORRUPT], SHORT, "", EMOJI, LONG),
    page("single", [], SHORT),
    page("bare", [0]),
]
IMAGES_MADE = [image(n, PICTURE[n % 12] if n != CORRUPT else b"broken") for n in range(MANY)]


@pytest.fixture(scope="module")
def made(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    output = tmp_path_factory.mktemp("score")
    store = Store(str(output))
    commit(store, "pages", "extract", {PAGES: PAGES_MADE})
    commit(store, "measures", "filter")
    commit(store, "images", "fetch", {IMAGES: IMAGES_MADE})
    commit(store, "rejections/dedup", "dedup")
    return output, score.STEP.work(Context(spark, store, RECIPE, ()))


@pytest.fixture(scope="module")
def scores(made: tuple[Path, Outcome]) -> dict[tuple[str, str, str, int], float]:
    rows = ds.dataset(made[0] / "scores", format="parquet").to_table().to_pylist()
    found = {(r["page_id"], r["image_id"], r["text_id"], r["block"]): r["score"] for r in rows}
    assert len(found) == len(rows)
    assert {r["sentence"] for r in rows} == {-1}
    return found


def test_every_pair_is_there_but_those_of_the_corrupt_image_and_the_empty_text(scores: dict) -> None:
    many = {("many", image_id(url(n)), text_id(SHORT), MANY) for n in range(MANY) if n != CORRUPT}
    blocks = {3: SHORT, 5: EMOJI, 6: LONG}  # 4 is empty
    mixed = {("mixed", image_id(url(n)), text_id(t), b) for n in (0, 1) for b, t in blocks.items()}
    assert scores.keys() == many | mixed


def test_a_score_is_the_cosine_of_its_own_pair(scores: dict) -> None:
    pictures = np.array(list(embedded(PICTURES, list(PICTURE.values())).values()))
    short, emoji = np.array(list(embedded(TEXTS, [SHORT, EMOJI]).values()))
    for (name, image, words, _), value in scores.items():
        number = next(n for n in range(MANY) if image_id(url(n)) == image)
        if name == "many" or words in (text_id(SHORT), text_id(EMOJI)):
            vector = emoji if words == text_id(EMOJI) else short
            assert value == pytest.approx(pictures[number % 12] @ vector, abs=1e-5)


def test_a_long_block_has_the_score_of_its_best_sentence(scores: dict) -> None:
    parts = [f"{captions.caption(s).capitalize()}." for s in SCENES]
    vectors = np.array(list(embedded(TEXTS, parts).values()))
    pictures = np.array(list(embedded(PICTURES, [PICTURE[0], PICTURE[1]]).values()))
    for number in (0, 1):
        alone = vectors @ pictures[number]
        found = scores["mixed", image_id(url(number)), text_id(LONG), 6]
        assert found == pytest.approx(alone.max(), abs=1e-5)
        assert alone.argmax() == number, "the sentence that tells what the picture shows"


def test_what_was_left_out_is_counted_and_each_text_embedded_once(made: tuple[Path, Outcome]) -> None:
    assert made[1].counts == {
        "scores": MANY - 1 + 2 * 3,
        "images": MANY,
        "texts": 4,
        "embedded_texts": 2 + len(SCENES),
        "unreadable_images": 1,
    }


def test_embeddings_are_kept_in_half_precision(made: tuple[Path, Outcome]) -> None:
    output, outcome = made
    tables = [pq.read_table(output / file) for file in outcome.files["embeddings"]]
    assert {str(t.schema.field("embedding").type.value_type) for t in tables} == {"halffloat"}
    rows = [row for t in tables for row in t.to_pylist()]
    kinds = {k: {r["id"] for r in rows if r["kind"] == k} for k in ("image", "text")}
    assert kinds["image"] == {image_id(url(n)) for n in range(MANY) if n != CORRUPT}
    assert kinds["text"] == {
        text_id(t) for t in (SHORT, EMOJI, *(f"{captions.caption(s).capitalize()}." for s in SCENES))
    }
    assert len(rows) == len(kinds["image"]) + len(kinds["text"])
    wanted = np.array(embedded(PICTURES, [PICTURE[0]])["0"], np.float16)
    kept = next(r["embedding"] for r in rows if r["id"] == image_id(url(0)))
    assert np.array_equal(np.array(kept, np.float16), wanted)
