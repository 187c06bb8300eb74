"""Pages of which too little is left once some of their paragraphs are gone."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters.words import WORD, count
from pipeline.blocks import text_blocks
from pipeline.spark import map_batches
from schemas.tables import REJECTIONS

_PAGE = ("page_id", "warc_file", "warc_offset", "url")
_COUNTED = pa.schema([REJECTIONS.schema.field(name) for name in (*_PAGE, "measure")])

Batches = Iterator[pa.RecordBatch]


def remnants(pages: DataFrame, gone: DataFrame, min_words: int) -> DataFrame:
    """Return the pages that go, with `rule`, `measure` (words left) and `threshold`; those that lost nothing stay.

    Args: pages as jobs.ledger.surviving_pages has them; gone are rows with `page_id`, `warc_file`, `warc_offset` and
    `block`, which may name a block twice.
    """
    lost = gone.groupBy("page_id", "warc_file", "warc_offset").agg(F.collect_set("block").alias("lost"))
    touched = pages.select(*_PAGE, "blocks", "positions").join(lost, ["page_id", "warc_file", "warc_offset"])
    left = map_batches(touched, _words_left, _COUNTED).where(f"measure < {min_words}")
    return left.selectExpr("*", "'LITTLE_LEFT' as rule", f"cast({min_words} as double) as threshold")


def _words_left(batches: Batches) -> Batches:
    for batch in batches:
        page, position, texts = text_blocks(batch)
        lost = [set(blocks) for blocks in batch["lost"].to_pylist()]
        stays = np.array([place not in lost[row] for row, place in zip(page, position, strict=True)], bool)
        words = count(texts, WORD).to_numpy() * stays
        measure = np.bincount(page, words, minlength=len(batch))
        yield pa.RecordBatch.from_arrays([*batch.select(list(_PAGE)).columns, pa.array(measure)], schema=_COUNTED)
