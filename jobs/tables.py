"""Tables of a run in Spark: what no step rejected, image bytes joined to rows, and rejections written."""

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

MAX_ROWS = 64  # of a batch: images are large, and a batch lies in memory twice


def attach_images(
    store: Store, parts: dict[str, str], schema: pa.Schema, columns: list[str]
) -> Callable[[Batches], Batches]:
    """Return the function that adds columns of `images` to batches with `image_id` and `part`, sorted by `part`.

    Args: parts leads from the name in `part` to a Parquet file in the store; schema is that of what comes out, the
    rows' own columns without `part`, then `columns`.
    Shape: a row out for each row in whose image the part holds, in the order of the part.
    """

    def run(batches: Batches) -> Batches:
        rows = (row for batch in batches for row in batch.to_pylist())
        for part, of_part in groupby(rows, key=lambda row: row["part"]):
            wanted = defaultdict(list)
            for row in of_part:
                wanted[row["image_id"]].append(row)
            yield from _read(store.at(parts[part]), wanted)

    def _read(path: str, wanted: dict[str, list[dict[str, Any]]]) -> Batches:
        with store.fs.open(path, "rb") as file:
            for images in pq.ParquetFile(file).iter_batches(MAX_ROWS, columns=["image_id", *columns]):
                for image in images.to_pylist():
                    found = [{**row, **image} for row in wanted.get(image["image_id"], ())]
                    for first in range(0, len(found), MAX_ROWS):
                        yield pa.RecordBatch.from_pylist(found[first : first + MAX_ROWS], schema=schema)

    return run


def join_image_bytes(context: Context, rows: DataFrame, *columns: str) -> DataFrame:
    """Add columns of `images` to rows that have `image_id`; rows whose image is not stored go.

    One task reads one part, so an image's bytes leave it once, for wherever they go next.
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
    """Make rows of `rejections`; columns that are neither given nor in the frame by their name are null."""
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
    """Write a step's rejections, in a folder of their own if need be; return the files, and how many each rule took."""
    files = context.write(reduce(DataFrame.unionByName, frames), REJECTIONS, f"rejections/{step}{below}")
    written = read_files(context.spark, context.store, files)
    return files, count_by(written, "rule")


def surviving_pages(context: Context, *steps: str) -> DataFrame:
    """Read the pages that none of the steps rejected, without the paragraphs that any of them rejected.

    A column `positions` says where each block stood on the page as extracted: `block` of `rejections` means that.
    """
    pages, of_paragraphs = context.read(PAGES), []
    for step in steps:
        rejected = context.read(REJECTIONS, step)
        gone = rejected.where("level = 'page'").select(*CAPTURE).distinct()
        pages = pages.join(gone, list(CAPTURE), "left_anti")
        of_paragraphs.append(rejected.where("level = 'paragraph'").select(*CAPTURE, "block"))
    paragraphs = reduce(DataFrame.union, of_paragraphs).groupBy(*CAPTURE).agg(F.collect_set("block").alias("gone"))
    stays = "x -> not array_contains(coalesce(gone, array()), x.position)"
    placed = "transform(blocks, (b, i) -> struct(b as block, i as position))"
    return (
        pages.join(paragraphs, list(CAPTURE), "left")
        .withColumn("kept", F.expr(f"filter({placed}, {stays})"))
        .selectExpr(*_PAGE_COLUMNS, "kept.block as blocks", "kept.position as positions")
    )


def num_paragraphs(pages: DataFrame, among: DataFrame | None = None) -> int:
    """Count the text blocks of pages, or of those that are among others; their counts are joined, not their texts."""
    counted = pages.selectExpr(*CAPTURE, "size(filter(blocks, b -> b.kind = 'text')) as paragraphs")
    if among is not None:
        counted = counted.join(among.select(*CAPTURE), list(CAPTURE), "left_semi")
    (row,) = counted.selectExpr("coalesce(sum(paragraphs), 0) as paragraphs").collect()
    return int(row["paragraphs"])


def surviving_captions(context: Context, *steps: str) -> DataFrame:
    """Read the caption pairs whose page is in a wanted language and whose words pass, each pair of a page once.

    A further step that rejected a caption took all that the image has on that page.
    """
    judged = context.read(REJECTIONS, "filter")
    foreign = judged.where("level = 'page' and rule in ('WRONG_LANGUAGE', 'LOW_LANGUAGE_SCORE')").select("page_id")
    poor = judged.where("level = 'caption'").select("image_id", "page_id", F.col("detail").alias("caption"))
    captions = context.read(CAPTIONS).dropDuplicates(list(PAIR))
    captions = captions.join(foreign.distinct(), "page_id", "left_anti").join(poor.distinct(), list(PAIR), "left_anti")
    for step in steps:
        gone = context.read(REJECTIONS, step).where("level = 'caption'").select("image_id", "page_id").distinct()
        captions = captions.join(gone, ["image_id", "page_id"], "left_anti")
    return captions


def surviving_images(context: Context) -> DataFrame:
    """Read the images that were fetched, decoded and are no duplicate, without their bytes."""
    images = context.read(IMAGES).where("status = 'ok'").drop("bytes")
    return drop_rejected(context, images, "filter", "dedup")


def drop_rejected(context: Context, images: DataFrame, *steps: str) -> DataFrame:
    """Take out of rows with an `image_id` those whose image some step rejected."""
    for step in steps:
        gone = context.read(REJECTIONS, step).where("level = 'image'").select("image_id")
        images = images.join(gone, "image_id", "left_anti")
    return images
