"""Assemble: pages, images and scores to the documents of three corpora."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.ledger import PAGE, entries, record, surviving_captions, surviving_images, surviving_pages
from jobs.step import Context, Outcome, Step
from pipeline.assemble import ASSEMBLED, PAGES_WITH_IMAGES, assemble_pages
from pipeline.captions import CAPTIONED, caption_documents
from pipeline.pairs import ALT_TEXT, PAIRS, caption_pairs
from pipeline.spark import count_by, map_batches
from pipeline.uses import USES, image_uses
from schemas.tables import DOCUMENTS, PAGES, SCORES


def work(context: Context) -> Outcome:
    """Write `documents`, and a rejection for every image and page that goes into none."""
    pages = _pages(context).persist()
    rejections = pages.select(F.explode("rejected").alias("r")).select("r.*")
    documents = pages.where("corpus is not null").drop("rejected")
    if "caption" in context.recipe.corpora:
        captions, poor = _captions(context)
        rejections = rejections.unionByName(poor)
        documents = documents.unionByName(captions)
    files, rejected = record(context, "assemble", rejections)
    written = context.write(documents, DOCUMENTS, "documents")
    pages.unpersist()
    counts = count_by(context.spark.read.parquet(*(context.store.url(f) for f in written)), "corpus")
    return Outcome({"documents": written, "rejections": files}, counts, rejected)


def _pages(context: Context) -> DataFrame:
    """Bring to each surviving page its usable images with their best scores, and assemble it."""
    pages = surviving_pages(context, "filter", "dedup")
    uses = map_batches(pages, image_uses, USES).join(surviving_images(context).select("image_id"), "image_id")
    best = context.read(SCORES, "scores").where(F.col("block") != ALT_TEXT).groupBy("image_id", "page_id")
    scored = uses.join(best.agg(F.max("score").alias("score")), ["image_id", "page_id"], "left")
    usable = scored.groupBy(*PAGE).agg(F.collect_list(F.struct("block", "image_id", "score")).alias("usable"))
    joined = pages.join(usable, list(PAGE), "left").select(*PAGES_WITH_IMAGES.names)
    return map_batches(joined, assemble_pages(context.recipe), ASSEMBLED)


def _captions(context: Context) -> tuple[DataFrame, DataFrame]:
    """Return the caption corpus, and the rejections of pairs whose score is too low."""
    pairs = map_batches(surviving_captions(context), caption_pairs, PAIRS)
    images = surviving_images(context).select("image_id", "image_url")
    scores = context.read(SCORES, "scores").where(F.col("block") == ALT_TEXT).drop("block")
    pages = context.read(PAGES, "pages").drop("blocks").dropDuplicates(["page_id"])
    found = (
        pairs.join(images, "image_id")
        .join(scores.distinct(), ["image_id", "text_id", "page_id"], "left")
        .join(pages, "page_id")
    )
    bound = F.lit(context.recipe.score.min_caption_score).cast("float")
    poor = entries(
        found.where(F.col("score") < bound),
        "assemble",
        "caption",
        rule=F.lit("LOW_CAPTION_SCORE"),
        url=F.col("image_url"),
        measure=F.col("score"),
        threshold=bound,
        detail=F.col("text"),
    )
    # The same pair on several pages is one sample; the newest page speaks for it.
    newest = Window.partitionBy("image_id", "text_id").orderBy(F.desc("captured_at"), F.asc("page_id"))
    good = found.where(F.col("score").isNull() | bound.isNull() | (F.col("score") >= bound))
    once = good.withColumn("rank", F.row_number().over(newest)).where("rank = 1").select(*CAPTIONED.names)
    return map_batches(once, caption_documents, DOCUMENTS.schema), poor


STEP = Step(
    "assemble",
    "documents",
    ("pages", "measures", "images", "rejections/dedup", "scores"),
    ("corpora", "score", "assemble"),
    work,
)
