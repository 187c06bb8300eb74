"""Texts of pages and thumbs of images that examples and clusters name: only what holds these is read of wide tables."""

from collections.abc import Mapping, Set
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline.filter import text_of
from pipeline.report.data.scan import Batches, pick, scan
from pipeline.report.data.sources import Source, Sources
from pipeline.report.data.thumbs import key, thumb
from schemas.tables import IMAGES, PAGES

WHOLE = -1  # asks for the first words of a page, where the index of a block asks for this block
MAX_CHARACTERS = 400
_TEXT = pa.schema([("page_id", pa.string()), ("block", pa.int32()), ("url", pa.string()), ("text", pa.string())])
_PICTURE = pa.schema([("image_id", pa.string()), ("url", pa.string()), ("key", pa.string()), ("thumb", pa.binary())])

Texts = dict[tuple[str, int], dict[str, Any]]
Pictures = dict[str, dict[str, Any]]


def cut(text: str | None, most: int = MAX_CHARACTERS) -> str:
    """Cut a text, and say so; None is ''."""
    text = text or ""
    return text if len(text) <= most else text[:most] + "…"


def find_texts(spark: SparkSession, sources: Sources, wanted: Mapping[str, Set[int]]) -> Texts:
    """Return address and text of pages, or of blocks of theirs, by id and block; what is not there is left out."""
    store = sources.store

    def texts(source: Source) -> Batches:
        for batch in pick(store, source.path, "page_id", wanted, ["url", "blocks"]):
            rows = []
            for page in batch.to_pylist():
                for block in wanted[page["page_id"]]:
                    if block < len(page["blocks"]):
                        words = text_of(page["blocks"]) if block == WHOLE else page["blocks"][block]["text"]
                        rows.append({**page, "block": block, "text": cut(words)})
            yield pa.RecordBatch.from_pylist(rows, schema=_TEXT)

    files = sources.of(PAGES) if wanted else []
    return {(row["page_id"], row["block"]): row.asDict() for row in scan(spark, files, texts, _TEXT).collect()}


def find_pictures(spark: SparkSession, sources: Sources, wanted: Set[str]) -> Pictures:
    """Return address, key and thumb of images by id; one that is not stored has b'' for a thumb."""
    store = sources.store

    def pictures(source: Source) -> Batches:
        for batch in pick(store, source.path, "image_id", wanted, ["image_url", "bytes"]):
            rows = [
                {
                    "image_id": image["image_id"],
                    "url": image["image_url"],
                    "key": key(image["bytes"] or b""),
                    "thumb": thumb(image["bytes"] or b""),
                }
                for image in batch.to_pylist()
            ]
            yield pa.RecordBatch.from_pylist(rows, schema=_PICTURE)

    files = sources.of(IMAGES) if wanted else []
    return {row["image_id"]: row.asDict() for row in scan(spark, files, pictures, _PICTURE).collect()}
