"""Pages of which too little is left once some of their paragraphs are gone.

Words are counted in the task that reads a page: their numbers meet what is gone, no text does.
"""

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters.words import WORD, count
from pipeline.blocks import by_page, text_blocks
from pipeline.spark import map_batches
from schemas.tables import REJECTIONS

_CAPTURE = ("page_id", "warc_file", "warc_offset")
_PAGE = (*_CAPTURE, "url")
_COUNTED = pa.schema(
    [
        *(REJECTIONS.schema.field(name) for name in _PAGE),
        pa.field("blocks", pa.list_(pa.int32())),
        pa.field("words", pa.list_(pa.int32())),
    ]
)
_LEFT = "filter(arrays_zip(blocks, words), b -> not array_contains(lost, b.blocks))"

Batches = Iterator[pa.RecordBatch]


def remnants(pages: DataFrame, gone: DataFrame, min_words: int) -> DataFrame:
    """Return the pages that go, with `rule`, `measure` (words left) and `threshold`; those that lost nothing stay.

    Args: pages as jobs.ledger.surviving_pages has them; gone are rows with `page_id`, `warc_file`, `warc_offset` and
    `block`, which may name a block twice.
    """
    lost = gone.groupBy(*_CAPTURE).agg(F.collect_set("block").alias("lost"))
    counted = map_batches(pages.select(*_PAGE, "blocks", "positions"), _counted, _COUNTED)
    return (
        counted.join(lost, list(_CAPTURE))
        .withColumn("measure", F.expr(f"cast(aggregate({_LEFT}, 0L, (sum, b) -> sum + b.words) as double)"))
        .where(f"measure < {min_words}")
        .selectExpr(*_PAGE, "'LITTLE_LEFT' as rule", "measure", f"cast({min_words} as double) as threshold")
    )


def _counted(batches: Batches) -> Batches:
    for batch in batches:
        page, position, texts = text_blocks(batch)
        lists = [by_page(of, page, len(batch)) for of in (pa.array(position, pa.int32()), count(texts, WORD))]
        yield pa.RecordBatch.from_arrays([*batch.select(list(_PAGE)).columns, *lists], schema=_COUNTED)
