"""Assemble: make the documents of the three corpora from pages, images and scores."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.step import Context, Outcome, Step, count_by, map_batches, read_files
from jobs.tables import rejection_rows, surviving_captions, surviving_images, surviving_pages, write_rejections
from pipeline.assemble import ASSEMBLED, CAPTIONED, PAGES_WITH_IMAGES, assemble_pages, caption_documents
from pipeline.blocks import IMAGE_REFS, image_refs
from pipeline.redact import redact_documents, redactor
from pipeline.score.segments import ALT_TEXT, PAIRS, caption_pairs
from pipeline.score.similarity import lowest_top_score
from schemas.recipe import Recipe
from schemas.tables import CAPTURE, DOCUMENTS, NEAR_DUPLICATE_IMAGES, PAGES, SAFETY, SCORES, STEPS

_PAIR = ("image_id", "text_id")


def select_captions(context: Context, captions: DataFrame, images: DataFrame) -> tuple[DataFrame, list[DataFrame], int]:
    """Return the caption corpus, the rejections of the other pairs, and the number of pairs.

    Args: captions as of jobs.tables.surviving_captions; images have `image_id` and `image_url`.
    """
    recipe = context.recipe
    pairs = _scored(context, captions, images).persist()
    bound = _bound(pairs, recipe)
    threshold = F.lit(bound).cast("float")
    unscored = F.col("score").isNull()
    poor = (
        F.lit(False) if bound is None else F.when(unscored, recipe.clip.enabled).otherwise(F.col("score") < threshold)
    )
    rejections = [_rejected(pairs.where(poor), "LOW_CAPTION_SCORE", F.col("score"), threshold)]
    # A pair on several pages is one sample, of the newest page.
    newest = Window.partitionBy(*_PAIR).orderBy(F.desc("captured_at"), F.asc("page_id"))
    selected = pairs.where(~poor).withColumn("rank", F.row_number().over(newest)).where("rank = 1")
    for most, one, other, rule in (
        (recipe.assemble.max_image_captions, "image_id", "text_id", "TOO_MANY_CAPTIONS"),
        (recipe.assemble.max_caption_images, "text_id", "image_id", "OVERUSED_CAPTION"),
    ):
        if most is not None:
            best = Window.partitionBy(one).orderBy(F.desc("score"), F.asc(other))
            ranked = selected.withColumn("rank", F.row_number().over(best)).persist()
            rejections.append(_rejected(ranked.where(F.col("rank") > most), rule, F.col("rank"), F.lit(most)))
            selected = ranked.where(F.col("rank") <= most)
    documents = map_batches(selected.select(*CAPTIONED.names), caption_documents, DOCUMENTS.schema)
    return documents, rejections, pairs.count()


def _scored(context: Context, captions: DataFrame, images: DataFrame) -> DataFrame:
    """Join each pair with its score, which may be null, and its page."""
    scores = context.read(SCORES).where(F.col("block") == ALT_TEXT).select(*_PAIR, "page_id", "score")
    pages = context.read(PAGES).drop("blocks").dropDuplicates(["page_id"])
    pairs = map_batches(captions, caption_pairs, PAIRS).join(images, "image_id")
    return pairs.join(scores.distinct(), [*_PAIR, "page_id"], "left").join(pages, "page_id")


def _bound(pairs: DataFrame, recipe: Recipe) -> float | None:
    """Return the lowest score to keep: min_caption_score or that of max_caption_fraction, whichever is higher."""
    bound, fraction = recipe.score.min_caption_score, recipe.score.max_caption_fraction
    if fraction is None:
        return bound
    scored = pairs.where("score is not null").dropDuplicates(list(_PAIR))
    lowest = lowest_top_score(
        {row["score"]: row["count"] for row in scored.groupBy("score").count().collect()}, fraction
    )
    unreachable = 2.0  # a cosine is at most 1
    return max(unreachable if lowest is None else lowest, -1.0 if bound is None else bound)


def _rejected(pairs: DataFrame, rule: str, measure: Column, threshold: Column) -> DataFrame:
    return rejection_rows(
        pairs, "assemble", "caption", rule=F.lit(rule), url=F.col("image_url"), measure=measure, threshold=threshold,
        detail=F.col("text"),
    )  # fmt: skip


def work(context: Context) -> Outcome:
    """Write `documents`, and a rejection for each image, caption and page that is in none."""
    recipe = context.recipe
    pages, captions = surviving_pages(context, "filter", "dedup"), surviving_captions(context, "dedup")
    images = surviving_images(context).select("image_id", "image_url")
    uses = map_batches(pages, image_refs, IMAGE_REFS)
    rejections, judged = [], {}
    if recipe.score.max_unsafe_score is not None:
        unsafe = _unsafe(context, images).persist()
        judged["UNSAFE_IMAGE"] = images.count()
        images = images.join(unsafe, "image_id", "left_anti")
        rejections.append(rejection_rows(unsafe, "assemble", "image", rule=F.lit("UNSAFE_IMAGE")))
        if recipe.score.unsafe_drops == "page":
            shown = uses.select("page_id", "image_id").union(captions.select("page_id", "image_id"))
            unsafe_pages = shown.join(unsafe, "image_id").groupBy("page_id").agg(F.min("image_id").alias("detail"))
            dropped = pages.join(unsafe_pages, "page_id")
            rejections.append(rejection_rows(dropped, "assemble", "page", rule=F.lit("UNSAFE_PAGE")))
            pages, captions, uses = (f.join(unsafe_pages, "page_id", "left_anti") for f in (pages, captions, uses))
    usable = uses.join(images.select("image_id"), "image_id").persist()
    assembled = _assembled(context, pages, usable).persist()
    rejections.append(assembled.select(F.explode("rejected").alias("r")).select("r.*"))
    documents = assembled.where("corpus is not null").drop("rejected")
    if "caption" in recipe.corpora:
        of_captions, of_pairs, judged["caption"] = select_captions(context, captions, images)
        rejections += of_pairs
        documents = documents.unionByName(of_captions)
    redact = redactor(recipe.redact)
    if redact:
        documents = map_batches(documents, redact_documents(redact), DOCUMENTS.schema)
    files, rejected = write_rejections(context, "assemble", rejections)
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
    """Find the images that the classifier scores as unsafe, or that have no score."""
    scored = images.join(context.read(SAFETY), "image_id", "left")
    bound = F.lit(context.recipe.score.max_unsafe_score).cast("float")
    unsafe = scored.where(F.col("unsafe").isNull() | (F.col("unsafe") > bound))
    return unsafe.select(
        "image_id", F.col("image_url").alias("url"), F.col("unsafe").alias("measure"), bound.alias("threshold")
    )


def _assembled(context: Context, pages: DataFrame, uses: DataFrame) -> DataFrame:
    """Join each page with its usable images and their scores, and assemble it."""
    recipe = context.recipe
    scores = context.read(SCORES).where(F.col("block") != ALT_TEXT)
    every = F.collect_list(F.struct("block", "sentence", "score"))
    assigned = recipe.assemble.placement == "assignment"
    of_images = scores.groupBy("image_id", "page_id").agg(
        F.max("score").alias("score"), (every if assigned else F.first(F.lit(None))).alias("scores")
    )
    scored = uses.join(of_images, ["image_id", "page_id"], "left").withColumn("look", F.col("image_id"))
    if recipe.dedup.keep_near_duplicate_images == "one_a_page":
        looks = context.read(NEAR_DUPLICATE_IMAGES)
        scored = scored.join(looks, "image_id", "left").withColumn("look", F.coalesce("cluster", "image_id"))
    image = F.struct("block", "image_id", "look", "score", "scores")
    usable = scored.groupBy(*CAPTURE).agg(F.collect_list(image).alias("usable"))
    joined = pages.join(usable, list(CAPTURE), "left").select(*PAGES_WITH_IMAGES.names)
    return map_batches(joined, assemble_pages(recipe), ASSEMBLED)


STEP = Step(STEPS["assemble"], ("corpora", "redact", "score", "assemble"), work)
