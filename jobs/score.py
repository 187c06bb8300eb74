"""Score: the CLIP similarity of every image with its alt text and with the text blocks around it."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.images import with_images
from jobs.ledger import surviving_captions, surviving_images, surviving_pages
from jobs.step import Context, Outcome, Step
from pipeline.pairs import PAIRS, caption_pairs, page_pairs
from pipeline.score import EMBEDDED, embed, load, similarities
from pipeline.spark import map_batches, spark_schema
from schemas.tables import SCORES


def work(context: Context) -> Outcome:
    """Write `scores`. Each distinct image and each distinct text is embedded once."""
    recipe = context.recipe
    if not recipe.clip.enabled:
        return Outcome({"scores": []}, {"pairs": 0}, notes={"scores": "off, by the recipe's clip.enabled"})
    load(recipe.clip)  # a model that cannot be loaded is said here, in one line, not by every worker
    pairs = _pairs(context).persist()
    texts = pairs.select(F.col("text_id").alias("id"), "text").dropDuplicates(["id"])
    used = pairs.select("image_id").distinct()
    images = with_images(context, used, "bytes").withColumnRenamed("image_id", "id")
    scored = (
        pairs.drop("text")
        .join(_embedded(context, images, "bytes", "image"), "image_id")
        .join(_embedded(context, texts, "text", "text"), "text_id")
        .select(*(c.name for c in SCORES.columns[:-1]), "image_embedding", "text_embedding")
    )
    files = context.write(map_batches(scored, similarities, SCORES.schema), SCORES, "scores")
    counts = {"pairs": pairs.count(), "images": used.count(), "texts": texts.count()}
    pairs.unpersist()
    return Outcome({"scores": files}, counts, notes={"model": f"{recipe.clip.model}, {recipe.clip.pretrained}"})


def _pairs(context: Context) -> DataFrame:
    corpora = context.recipe.corpora
    pairs = context.spark.createDataFrame([], spark_schema(PAIRS))
    if "interleaved" in corpora:
        pairs = pairs.union(map_batches(surviving_pages(context, "filter", "dedup"), page_pairs, PAIRS))
    if "caption" in corpora:
        pairs = pairs.union(map_batches(surviving_captions(context), caption_pairs, PAIRS))
    return pairs.join(surviving_images(context).select("image_id"), "image_id", "left_semi")


def _embedded(context: Context, frame: DataFrame, column: str, name: str) -> DataFrame:
    embedded = map_batches(frame.select("id", column), embed(context.recipe.clip, column), EMBEDDED)
    return embedded.withColumnsRenamed({"id": f"{name}_id", "embedding": f"{name}_embedding"})


STEP = Step("score", "scores", ("pages", "measures", "images", "rejections/dedup"), ("corpora", "clip"), work)
