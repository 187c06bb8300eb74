"""Write rejections, and find what no rejection names."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.step import Context
from pipeline.spark import count_by
from schemas.tables import CAPTIONS, IMAGES, PAGES, REJECTIONS

PAGE = ("page_id", "warc_file", "warc_offset")  # one archived capture
PAIR = ("image_id", "page_id", "caption")


def entries(frame: DataFrame, step: str, level: str, **columns: Column) -> DataFrame:
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
    return {"warc_offset": "bigint", "measure": "double", "threshold": "double"}.get(name, "string")


def record(context: Context, step: str, frame: DataFrame) -> tuple[list[str], dict[str, int]]:
    """Write a step's rejections; return the files, and how many each rule took."""
    files = context.write(frame, REJECTIONS, f"rejections/{step}")
    written = context.spark.read.parquet(*(context.store.url(f) for f in files))
    return files, count_by(written, "rule")


def surviving_pages(context: Context, *steps: str) -> DataFrame:
    """Read the pages that none of the steps rejected."""
    pages = context.read(PAGES, "pages")
    for step in steps:
        gone = _rejections(context, step).where("level = 'page'").select(*PAGE).distinct()
        pages = pages.join(gone, list(PAGE), "left_anti")
    return pages


def surviving_captions(context: Context) -> DataFrame:
    """Read the caption pairs whose page is in a wanted language and whose words pass, each pair of a page once."""
    judged = _rejections(context, "filter")
    foreign = judged.where("level = 'page' and rule in ('WRONG_LANGUAGE', 'LANGUAGE_UNSURE')").select("page_id")
    poor = judged.where("level = 'caption'").select("image_id", "page_id", F.col("detail").alias("caption"))
    captions = context.read(CAPTIONS, "pages").dropDuplicates(list(PAIR))
    return captions.join(foreign.distinct(), "page_id", "left_anti").join(poor.distinct(), list(PAIR), "left_anti")


def surviving_images(context: Context) -> DataFrame:
    """Read the images that were fetched, decoded and are no duplicate, without their bytes."""
    images = context.read(IMAGES, "images").where("status = 'ok'").drop("bytes")
    gone = _rejections(context, "dedup").where("level = 'image'").select("image_id")
    return images.join(gone, "image_id", "left_anti")


def _rejections(context: Context, step: str) -> DataFrame:
    folder = {"filter": "measures"}.get(step, f"rejections/{step}")
    return context.read(REJECTIONS, folder)
