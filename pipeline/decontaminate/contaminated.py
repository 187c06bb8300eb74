"""Which paragraphs, pages, captions and images of a run go, because evaluation sets hold them.

A paragraph goes whole: half of one says little, and what stands around the shared words in it is mostly of the same
item. A page that would lose many is a copy of the set, whose answers are too short to be found: it goes whole.
Each image and page is judged by itself, so nothing is shuffled.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from pipeline.blocks import text_blocks
from pipeline.decontaminate.ngrams import Ngrams
from pipeline.decontaminate.pictures import Pictures
from pipeline.spark import map_batches
from schemas.recipe.decontaminate import Decontaminate
from schemas.tables import REJECTIONS

Batches = Iterator[pa.RecordBatch]


def _found(*names: str) -> pa.Schema:
    return pa.schema([REJECTIONS.schema.field(name) for name in names])


_PAGE = ("page_id", "warc_file", "warc_offset", "url")
_WHY = ("rule", "measure", "threshold", "detail")
OF_TEXTS = _found(*_PAGE, "level", "block", *_WHY)
OF_CAPTIONS = _found("image_id", "page_id", "url", *_WHY)
OF_IMAGES = _found("image_id", "url", *_WHY)


def contaminated_texts(pages: DataFrame, ngrams: Ngrams, config: Decontaminate) -> DataFrame:
    """Return rows of OF_TEXTS: a page that goes, or else each of its paragraphs that goes.

    Args: pages as jobs.ledger.surviving_pages has them. `measure` counts the runs of words that a paragraph shares, or
    the paragraphs of a page that share any; `detail` is the first item that has one.
    """
    shared = pages.sparkSession.sparkContext.broadcast(ngrams)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            yield from _of_texts(batch, shared.value, config.max_blocks)

    return map_batches(pages.select(*_PAGE, "blocks", "positions"), run, OF_TEXTS)


def contaminated_captions(captions: DataFrame, ngrams: Ngrams) -> DataFrame:
    """Return rows of OF_CAPTIONS for rows of `captions`: the pairs of image and page that lose their captions."""
    shared = captions.sparkSession.sparkContext.broadcast(ngrams)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            counts, items = shared.value.find(batch["caption"].to_pylist())
            rows = np.flatnonzero(counts)
            pairs = batch.select(["image_id", "page_id", "image_url"]).take(pa.array(rows))
            names = [shared.value.name(item) for item in items[rows]]
            yield _told(pairs.columns, OF_CAPTIONS, "CONTAMINATED_CAPTION", counts[rows], 0, names)

    return map_batches(captions.select("image_id", "page_id", "image_url", "caption"), run, OF_CAPTIONS)


def contaminated_images(images: DataFrame, pictures: Pictures, config: Decontaminate) -> DataFrame:
    """Return rows of OF_IMAGES for rows of `images` whose status is ok; `measure` is the distance in bits."""
    shared = images.sparkSession.sparkContext.broadcast(pictures)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            yield _of_images(batch, shared.value, config.max_image_distance)

    return map_batches(images.select("image_id", "image_url", "sha256", "phash"), run, OF_IMAGES)


def _of_texts(batch: pa.RecordBatch, ngrams: Ngrams, max_blocks: int) -> Batches:
    page, position, texts = text_blocks(batch)
    counts, items = ngrams.find(texts.to_pylist())
    found = np.flatnonzero(counts)
    num_blocks = np.bincount(page[found], minlength=len(batch))
    goes_whole = num_blocks[page[found]] > max_blocks
    blocks, of_pages = found[~goes_whole], found[goes_whole]
    firsts = of_pages[np.unique(page[of_pages], return_index=True)[1]]
    for level, rows, places, rule, measures, threshold in (
        ("page", firsts, pa.nulls(len(firsts), pa.int32()), "CONTAMINATED_PAGE", num_blocks[page[firsts]], max_blocks),
        ("paragraph", blocks, pa.array(position[blocks], pa.int32()), "CONTAMINATED_TEXT", counts[blocks], 0),
    ):
        pages = batch.select(list(_PAGE)).take(pa.array(page[rows]))
        levels = pa.array([level] * len(rows), pa.string())
        names = [ngrams.name(item) for item in items[rows]]
        yield _told([*pages.columns, levels, places], OF_TEXTS, rule, measures, threshold, names)


def _of_images(batch: pa.RecordBatch, pictures: Pictures, max_distance: int) -> pa.RecordBatch:
    hashes = np.array([int(phash, 16) for phash in batch["phash"].to_pylist()], np.uint64)
    places, distances = pictures.nearest(hashes)
    same = [pictures.sha256.get(sha256) for sha256 in batch["sha256"].to_pylist()]
    distances[[name is not None for name in same]] = 0
    rows = np.flatnonzero(distances <= max_distance)
    names = [same[row] or pictures.names[places[row]] for row in rows]
    of_rows = batch.select(["image_id", "image_url"]).take(pa.array(rows)).columns
    return _told(of_rows, OF_IMAGES, "CONTAMINATED_IMAGE", distances[rows], max_distance, names)


def _told(
    known: list[pa.Array], schema: pa.Schema, rule: str, measures: np.ndarray, threshold: int, names: list[str]
) -> pa.RecordBatch:
    num = len(names)
    rules, thresholds = pa.array([rule] * num, pa.string()), pa.array([threshold] * num, pa.float64())
    why = [rules, pa.array(measures, pa.float64()), thresholds, pa.array(names, pa.string())]
    return pa.RecordBatch.from_arrays([*known, *why], schema=schema)
