"""Pages of blocks, as steps after `filter` read them, for tests of dedup."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from handmade import picture, row, text

from jobs.step import spark_schema
from schemas.tables import CAPTURE, PAGES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


PLACED = PAGES.schema.append(pa.field("positions", pa.list_(pa.int32())))


def page(page_id: str, *blocks: str, positions: Sequence[int] | None = None, **known: Any) -> dict[str, Any]:
    """Return a page of texts; blocks that start with http are images."""
    made = [picture(b) if b.startswith("http") else text(b) for b in blocks]
    row_of_page = row(PAGES, page_id=page_id, warc_offset=len(page_id), blocks=made, **known)
    return {**row_of_page, "positions": list(range(len(made)) if positions is None else positions)}


def frame(pages: list[dict[str, Any]], partitions: int, spark: "SparkSession") -> "DataFrame":
    schema = spark_schema(PLACED)
    values = [tuple(of_page[name] for name in schema.names) for of_page in pages]
    return spark.createDataFrame(values, schema).repartition(partitions)


def told(found: "DataFrame", *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of the rejections, sorted; every row must have a capture key."""
    rows = found.collect()
    assert all((r["warc_file"], r["warc_offset"]) == ("w", len(r["page_id"])) for r in rows)
    assert {*CAPTURE, "url"} <= set(found.columns)
    return sorted((tuple(r[column] for column in columns) for r in rows), key=str)
