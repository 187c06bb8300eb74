"""Tables of a run in Spark: read the rows that no step rejected, join image bytes, write rejections."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.step import Context, arrow_schema, count_by, map_batches, read_files, spark_schema
from pipeline.io.store import Store
from schemas.tables import CAPTIONS, CAPTURE, IMAGES, PAGES, REJECTIONS, Batches

MAX_ROWS = 64  # of a batch: images are large, and a batch is in memory twice


def attach_images(
    store: Store, parts: dict[str, str], schema: pa.Schema, columns: list[str]
) -> Callable[[Batches], Batches]:
    """Return the function that adds columns of `images` to batches with `image_id` and `part`, sorted by `part`.

    Args: parts maps each value of `part` to a Parquet file in the store; schema is the output's: the columns of the
    rows without `part`, then `columns`.
    Shape: one output row per input row whose image is in its part, in the order of the part.
    """

    def run(batches: Batches) -> Batches:
        rows = (row for batch in batches for row in batch.to_pylist())
        for part, of_part in groupby(rows, key=lambda row: row["part"]):
            by_image = defaultdict(list)
            for row in of_part:
                by_image[row["image_id"]].append(row)
            yield from _read(store.at(parts[part]), by_image)

    def _read(path: str, by_image: dict[str, list[dict[str, Any]]]) -> Batches:
        with store.fs.open(path, "rb") as file:
            for images in pq.ParquetFile(file).iter_batches(MAX_ROWS, columns=["image_id", *columns]):
                for image in images.to_pylist():
                    found = [{**row, **image} for row in by_image.get(image["image_id"], ())]
                    for first in range(0, len(found), MAX_ROWS):
                        yield pa.RecordBatch.from_pylist(found[first : first + MAX_ROWS], schema=schema)

    return run


def join_image_bytes(context: Context, rows: DataFrame, *columns: str) -> DataFrame:
    """Add columns of `images` to rows with `image_id`; rows whose image is not stored are dropped.

    One task reads one part, so the bytes of an image are read and shuffled once.
    """
    manifest = context.store.manifest("images")
    files = manifest.files["images"] if manifest else []
    parts = {file.rsplit("/", 1)[-1]: file for file in files}
    schema = pa.schema([*arrow_schema(rows), *(IMAGES.schema.field(name) for name in columns)])
    if not files:
        return context.spark.createDataFrame([], spark_schema(schema))
    stored = context.read(IMAGES).where("status = 'ok'")
    placed = rows.join(stored.select("image_id", F.col("_metadata.file_name").alias("part")), "image_id")
    placed = placed.select(*rows.columns, "part").repartitionByRange(len(files), "part").sortWithinPartitions("part")
    return map_batches(placed, attach_images(context.store, parts, schema, list(columns)), schema)


_PAGE_COLUMNS = tuple(c.name for c in PAGES.columns if c.name != "blocks")
PAIR = ("image_id", "page_id", "caption")


def rejection_rows(frame: DataFrame, step: str, level: str | Column, **columns: Column) -> DataFrame:
    """Make rows of `rejections`; columns that are neither given nor in the frame are null."""
    known = {"step": F.lit(step), "level": F.lit(level), **columns}
    made = []
    for column in REJECTIONS.columns:
        if column.name in known:
            value = known[column.name]
        else:
            value = F.col(column.name) if column.name in frame.columns else F.lit(None)
        made.append(value.cast(_spark_type(column.name)).alias(column.name))
    return frame.select(*made)


def _spark_type(name: str) -> str:
    return {"warc_offset": "bigint", "block": "int", "measure": "double", "threshold": "double"}.get(name, "string")


def write_rejections(
    context: Context, step: str, frames: Sequence[DataFrame], below: str = ""
) -> tuple[list[str], dict[str, int]]:
    """Write a step's rejections, in the subfolder `below` if given; return the files and the counts by rule."""
    files = context.write(reduce(DataFrame.unionByName, frames), REJECTIONS, f"rejections/{step}{below}")
    written = read_files(context.spark, context.store, files)
    return files, count_by(written, "rule")


def surviving_pages(context: Context, *steps: str) -> DataFrame:
    """Read the pages that none of the steps rejected, without the paragraphs that any of them rejected.

    The column `positions` gives the position of each block on the page as extracted, which is `block` in `rejections`.
    """
    pages, paragraphs = context.read(PAGES), []
    for step in steps:
        rejected = context.read(REJECTIONS, step)
        dropped = rejected.where("level = 'page'").select(*CAPTURE).distinct()
        pages = pages.join(dropped, list(CAPTURE), "left_anti")
        paragraphs.append(rejected.where("level = 'paragraph'").select(*CAPTURE, "block"))
    by_page = reduce(DataFrame.union, paragraphs).groupBy(*CAPTURE).agg(F.collect_set("block").alias("dropped"))
    is_kept = "x -> not array_contains(coalesce(dropped, array()), x.position)"
    with_positions = "transform(blocks, (b, i) -> struct(b as block, i as position))"
    return (
        pages.join(by_page, list(CAPTURE), "left")
        .withColumn("kept", F.expr(f"filter({with_positions}, {is_kept})"))
        .selectExpr(*_PAGE_COLUMNS, "kept.block as blocks", "kept.position as positions")
    )


def num_paragraphs(pages: DataFrame, among: DataFrame | None = None) -> int:
    """Count the text blocks of pages, or of those pages that are in `among`; the join moves counts, not texts."""
    counted = pages.selectExpr(*CAPTURE, "size(filter(blocks, b -> b.kind = 'text')) as paragraphs")
    if among is not None:
        counted = counted.join(among.select(*CAPTURE), list(CAPTURE), "left_semi")
    (row,) = counted.selectExpr("coalesce(sum(paragraphs), 0) as paragraphs").collect()
    return int(row["paragraphs"])


def surviving_captions(context: Context, *steps: str) -> DataFrame:
    """Read the caption pairs that pass the language of their page and the caption filters, each pair of a page once.

    A caption that one of the further steps rejected takes with it every caption of that image on that page.
    """
    rejected = context.read(REJECTIONS, "filter")
    foreign = rejected.where("level = 'page' and rule in ('WRONG_LANGUAGE', 'LOW_LANGUAGE_SCORE')").select("page_id")
    poor = rejected.where("level = 'caption'").select("image_id", "page_id", F.col("detail").alias("caption"))
    captions = context.read(CAPTIONS).dropDuplicates(list(PAIR))
    captions = captions.join(foreign.distinct(), "page_id", "left_anti").join(poor.distinct(), list(PAIR), "left_anti")
    for step in steps:
        dropped = context.read(REJECTIONS, step).where("level = 'caption'").select("image_id", "page_id").distinct()
        captions = captions.join(dropped, ["image_id", "page_id"], "left_anti")
    return captions


def surviving_images(context: Context) -> DataFrame:
    """Read the images that are stored and not rejected by filter or dedup, without their bytes."""
    images = context.read(IMAGES).where("status = 'ok'").drop("bytes")
    return drop_rejected(context, images, "filter", "dedup")


def drop_rejected(context: Context, images: DataFrame, *steps: str) -> DataFrame:
    """Drop the rows whose `image_id` one of the steps rejected."""
    for step in steps:
        dropped = context.read(REJECTIONS, step).where("level = 'image'").select("image_id")
        images = images.join(dropped, "image_id", "left_anti")
    return images
