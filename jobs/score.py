"""Score: the CLIP similarity of every image with its alt text and with the text blocks around it."""

from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.images import with_images
from jobs.ledger import surviving_captions, surviving_images, surviving_pages
from jobs.step import Context, Outcome, Step
from pipeline.pairs import PAIRS, caption_pairs, page_pairs
from pipeline.score.device import profile
from pipeline.score.embed import EMBEDDED, IMAGES, TEXTS, embed
from pipeline.score.encoder import load
from pipeline.score.keep import FOLDER, PARTS, VECTORS, keep
from pipeline.score.pieces import PIECES, cut
from pipeline.score.similarity import similarities
from pipeline.spark import map_batches, spark_schema
from schemas.recipe import Clip
from schemas.tables import SCORES


def work(context: Context) -> Outcome:
    """Write `scores`, and `embeddings` if asked to. Each distinct image and each distinct text is embedded once."""
    recipe = context.recipe
    context.store.remove(FOLDER)
    if not recipe.clip.enabled:
        return Outcome({"scores": []}, {"pairs": 0}, notes={"scores": "off, by the recipe's clip.enabled"})
    load(recipe.clip)  # a model that cannot be loaded is said here, in one line, not by every worker
    pairs = _pairs(context).persist()
    texts = pairs.select(F.col("text_id").alias("id"), "text").dropDuplicates(["id"])
    pieces = map_batches(texts, cut(recipe.clip), PIECES).persist()
    used = pairs.select("image_id").distinct()
    stored = with_images(context, used, "bytes").withColumnRenamed("image_id", "id")
    # What is kept here is read several times, and must be computed once: above all the embeddings.
    needs = profile(dict(context.spark.sparkContext.getConf().getAll()))
    images = _embedded(recipe.clip, stored, IMAGES, needs).persist()
    sentences = _embedded(recipe.clip, pieces.dropDuplicates(["id"]), TEXTS, needs).persist()
    files = {"scores": context.write(_scored(pairs, pieces, images, sentences), SCORES, "scores")}
    if recipe.clip.keep_embeddings:
        files[FOLDER] = _kept(context, images, sentences)
    counts = {
        "pairs": pairs.count(),
        "images": used.count(),
        "texts": texts.count(),
        "embedded_texts": sentences.count(),
        "unreadable_images": images.where("embedding is null").count(),
    }
    for frame in (pairs, pieces, images, sentences):
        frame.unpersist()
    return Outcome(files, counts, notes={"model": f"{recipe.clip.model}, {recipe.clip.pretrained}"})


def _pairs(context: Context) -> DataFrame:
    corpora = context.recipe.corpora
    pairs = context.spark.createDataFrame([], spark_schema(PAIRS))
    if "interleaved" in corpora:
        pairs = pairs.union(map_batches(surviving_pages(context, "filter", "dedup"), page_pairs, PAIRS))
    if "caption" in corpora:
        pairs = pairs.union(map_batches(surviving_captions(context), caption_pairs, PAIRS))
    return pairs.join(surviving_images(context).select("image_id"), "image_id", "left_semi")


def _embedded(config: Clip, frame: DataFrame, column: str, needs: ResourceProfile | None) -> DataFrame:
    """Embed a column; needs must be one object for all frames that meet in a stage, Spark merges none."""
    return frame.select("id", column).mapInArrow(embed(config, column), spark_schema(EMBEDDED), profile=needs)


def _scored(pairs: DataFrame, pieces: DataFrame, images: DataFrame, sentences: DataFrame) -> DataFrame:
    """Bring to each pair the embeddings of its image and of its text's pieces; pairs that lack either go."""
    of_texts = pieces.join(sentences, "id").groupBy("text_id").agg(F.collect_list("embedding").alias("text_embeddings"))
    of_images = images.where("embedding is not null").withColumnsRenamed(
        {"id": "image_id", "embedding": "image_embedding"}
    )
    joined = pairs.drop("text").join(of_images, "image_id").join(of_texts, "text_id")
    columns = [c.name for c in SCORES.columns if c.name != "score"]
    return map_batches(joined.select(*columns, "image_embedding", "text_embeddings"), similarities, SCORES.schema)


def _kept(context: Context, images: DataFrame, sentences: DataFrame) -> list[str]:
    kinds = {"image": images.where("embedding is not null"), "text": sentences}
    of_images, of_texts = (f.withColumn("kind", F.lit(k)).select(*VECTORS.names) for k, f in kinds.items())
    parts = map_batches(of_images.unionByName(of_texts), keep(context.store), PARTS).collect()
    return sorted(part["path"] for part in parts)


STEP = Step("score", "scores", ("pages", "measures", "images", "rejections/dedup"), ("corpora", "clip"), work)
