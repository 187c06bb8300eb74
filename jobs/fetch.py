"""Fetch: every distinct image address that a surviving page or caption uses, asked for once."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from jobs.ledger import entries, record, surviving_captions, surviving_pages
from jobs.step import Context, Outcome, Step
from pipeline.fetch.download import asked, download
from pipeline.fetch.images import DOWNLOADED, decode_images
from pipeline.spark import count_by, map_batches, spark_schema
from pipeline.uses import USES, image_uses
from schemas.ids import digest
from schemas.reasons import for_status
from schemas.tables import IMAGE_STATUS, IMAGES


def work(context: Context) -> Outcome:
    """Download what is wanted and not yet answered, decode it, and add it to `images`.

    A killed download goes on where it stood: its addresses are listed once, and finished shards stay.
    """
    store, spark = context.store, context.spark
    before = store.manifest("images")
    known = before.files["images"] if before else []
    measures = store.manifest("measures")
    batch = digest(measures.digest if measures else "", str(context.recipe.fetch.shard_images), *known)
    folder = f"images/_download/{batch}"
    if not store.fs.exists(store.at(folder, "urls", "_SUCCESS")):
        wanted = _wanted(context)
        if known:
            wanted = wanted.join(context.read(IMAGES, "images"), "image_id", "left_anti")
        fetch = context.recipe.fetch
        ask = F.udf(lambda url: asked(url, fetch), StringType())
        listed = wanted.select(ask("image_url").alias("url"), "image_id", "image_url").sort("image_id")
        listed.write.mode("overwrite").parquet(store.url(folder, "urls"))
    files = list(known)
    if spark.read.parquet(store.url(folder, "urls")).limit(1).count():
        parts = download(spark, store, folder, context.recipe.fetch)
        raw = spark.read.schema(spark_schema(DOWNLOADED)).parquet(*(store.url(p) for p in parts))
        images = map_batches(raw, decode_images(context.recipe.decode), IMAGES.schema)
        files += context.write(images, IMAGES, f"images/{batch}")
    store.remove("images", "_download")
    statuses, rejections, rejected = _account(context, files)
    return Outcome({"images": files, "rejections": rejections}, statuses, rejected)


def _wanted(context: Context) -> DataFrame:
    """List the distinct images that the recipe's corpora can use."""
    corpora = context.recipe.corpora
    columns = ("image_id", "image_url")
    wanted = context.spark.createDataFrame([], spark_schema(USES)).select(*columns)
    if "interleaved" in corpora:
        wanted = wanted.union(map_batches(surviving_pages(context, "filter"), image_uses, USES).select(*columns))
    if "caption" in corpora:
        wanted = wanted.union(surviving_captions(context).select(*columns))
    return wanted.distinct()


def _account(context: Context, files: list[str]) -> tuple[dict[str, int], list[str], dict[str, int]]:
    """Count images by status, and write a rejection for each that failed."""
    if not files:
        return {}, [], {}
    images = context.spark.read.schema(spark_schema(IMAGES.schema)).parquet(*(context.store.url(f) for f in files))
    failed = images.where("status != 'ok'")
    rules = F.create_map(*(F.lit(x) for s in IMAGE_STATUS if s != "ok" for x in (s, for_status(s))))
    ledger = entries(
        failed, "fetch", "image", rule=rules[F.col("status")], url=F.col("image_url"), detail=F.col("error")
    )
    rejections, rejected = record(context, "fetch", ledger)
    return count_by(images, "status"), rejections, rejected


# How images are asked for does not shape what an answered one is, so `fetch` may change between runs.
STEP = Step("fetch", "images", ("pages", "measures"), ("corpora", "decode"), work)
