"""Assemble: pages, images and scores to the documents of three corpora."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ledger import PAGE, entries, record, surviving_captions, surviving_images, surviving_pages
from jobs.pick import pick_captions
from jobs.step import Context, Outcome, Step
from pipeline.assemble import ASSEMBLED, PAGES_WITH_IMAGES, assemble_pages
from pipeline.pairs import ALT_TEXT
from pipeline.redact import redact_documents, redactor
from pipeline.spark import count_by, map_batches, read_files
from pipeline.uses import USES, image_uses
from schemas.tables import DOCUMENTS, LOOKALIKES, SAFETY, SCORES


def work(context: Context) -> Outcome:
    """Write `documents`, and a rejection for every image, caption and page that goes into none."""
    recipe = context.recipe
    pages, captions = surviving_pages(context, "filter", "dedup"), surviving_captions(context, "dedup")
    images = surviving_images(context).select("image_id", "image_url")
    uses = map_batches(pages, image_uses, USES)
    found, judged = [], {}
    if recipe.score.max_unsafe_score is not None:
        unsafe = _unsafe(context, images).persist()
        judged["UNSAFE_IMAGE"] = images.count()
        images = images.join(unsafe, "image_id", "left_anti")
        found.append(entries(unsafe, "assemble", "image", rule=F.lit("UNSAFE_IMAGE")))
        if recipe.score.unsafe_drops == "page":
            shown = uses.select("page_id", "image_id").union(captions.select("page_id", "image_id"))
            beside = shown.join(unsafe, "image_id").groupBy("page_id").agg(F.min("image_id").alias("detail"))
            gone = pages.join(beside, "page_id")
            found.append(entries(gone, "assemble", "page", rule=F.lit("UNSAFE_PAGE")))
            pages, captions, uses = (f.join(beside, "page_id", "left_anti") for f in (pages, captions, uses))
    usable = uses.join(images.select("image_id"), "image_id").persist()
    assembled = _assembled(context, pages, usable).persist()
    found.append(assembled.select(F.explode("rejected").alias("r")).select("r.*"))
    documents = assembled.where("corpus is not null").drop("rejected")
    if "caption" in recipe.corpora:
        picked, poor, judged["caption"] = pick_captions(context, captions, images)
        found += poor
        documents = documents.unionByName(picked)
    redact = redactor(recipe.redact)
    if redact:
        documents = map_batches(documents, redact_documents(redact), DOCUMENTS.schema)
    files, rejected = record(context, "assemble", found)
    written = context.write(documents, DOCUMENTS, "documents")
    judged |= {
        "page": assembled.count() + rejected.get("UNSAFE_PAGE", 0),
        "document": assembled.where("corpus = 'interleaved' or exists(rejected, r -> r.level = 'document')").count(),
        "image": usable.count(),
    }
    assembled.unpersist()
    usable.unpersist()
    counts = count_by(read_files(context.spark, context.store, written), "corpus")
    return Outcome({"documents": written, "rejections": files}, counts, rejected, judged=judged)


def _unsafe(context: Context, images: DataFrame) -> DataFrame:
    """Find the images that the classifier takes for unsafe, and those that it could not judge."""
    judged = images.join(context.read(SAFETY, "scores"), "image_id", "left")
    bound = F.lit(context.recipe.score.max_unsafe_score).cast("float")
    unsafe = judged.where(F.col("unsafe").isNull() | (F.col("unsafe") > bound))
    return unsafe.select(
        "image_id", F.col("image_url").alias("url"), F.col("unsafe").alias("measure"), bound.alias("threshold")
    )


def _assembled(context: Context, pages: DataFrame, uses: DataFrame) -> DataFrame:
    """Bring to each page its usable images with their scores, and assemble it."""
    recipe = context.recipe
    scores = context.read(SCORES, "scores").where(F.col("block") != ALT_TEXT)
    every = F.collect_list(F.struct("block", "sentence", "score"))
    assigned = recipe.assemble.placement == "assignment"
    of_images = scores.groupBy("image_id", "page_id").agg(
        F.max("score").alias("score"), (every if assigned else F.first(F.lit(None))).alias("scores")
    )
    scored = uses.join(of_images, ["image_id", "page_id"], "left").withColumn("look", F.col("image_id"))
    if recipe.dedup.keep_lookalikes == "one_a_page":
        looks = context.read(LOOKALIKES, "rejections/dedup")
        scored = scored.join(looks, "image_id", "left").withColumn("look", F.coalesce("cluster", "image_id"))
    image = F.struct("block", "image_id", "look", "score", "scores")
    usable = scored.groupBy(*PAGE).agg(F.collect_list(image).alias("usable"))
    joined = pages.join(usable, list(PAGE), "left").select(*PAGES_WITH_IMAGES.names)
    return map_batches(joined, assemble_pages(recipe), ASSEMBLED)


STEP = Step(
    "assemble",
    "documents",
    ("pages", "measures", "images", "rejections/dedup", "scores"),
    ("corpora", "redact", "score", "assemble"),
    work,
)
