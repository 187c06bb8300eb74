"""Bring the bytes of stored images to the rows that use them."""

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.step import Context
from pipeline.attach import attach_images
from pipeline.spark import arrow_schema, map_batches, spark_schema
from schemas.tables import IMAGES


def with_images(context: Context, rows: DataFrame, *columns: str) -> DataFrame:
    """Add columns of `images` to rows that have `image_id`; rows whose image is not stored go.

    One task reads one part, so an image's bytes leave it once, for wherever they go next.
    """
    manifest = context.store.manifest("images")
    files = manifest.files["images"] if manifest else []
    parts = {file.rsplit("/", 1)[-1]: file for file in files}
    schema = pa.schema([*arrow_schema(rows), *(IMAGES.schema.field(name) for name in columns)])
    if not files:
        return context.spark.createDataFrame([], spark_schema(schema))
    stored = context.read(IMAGES, "images").where("status = 'ok'")
    placed = rows.join(stored.select("image_id", F.col("_metadata.file_name").alias("part")), "image_id")
    placed = placed.select(*rows.columns, "part").repartitionByRange(len(files), "part").sortWithinPartitions("part")
    return map_batches(placed, attach_images(context.store, parts, schema, list(columns)), schema)
