"""Pick the pairs of the caption corpus: by their scores, and by how many captions and images go together."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.ledger import entries
from jobs.step import Context
from pipeline.captions import CAPTIONED, caption_documents
from pipeline.pairs import ALT_TEXT, PAIRS, caption_pairs
from pipeline.score.top import cut
from pipeline.spark import map_batches
from schemas.recipe import Recipe
from schemas.tables import DOCUMENTS, PAGES, SCORES

_PAIR = ("image_id", "text_id")


def pick_captions(context: Context, captions: DataFrame, images: DataFrame) -> tuple[DataFrame, list[DataFrame], int]:
    """Return the caption corpus, the rejections of the other pairs, and how many pairs there were.

    Args: captions are those that survived; images have `image_id` and `image_url`.
    """
    recipe = context.recipe
    pairs = _scored(context, captions, images).persist()
    bound = _bound(pairs, recipe)
    threshold = F.lit(bound).cast("float")
    unscored = F.col("score").isNull()
    poor = (
        F.lit(False) if bound is None else F.when(unscored, recipe.clip.enabled).otherwise(F.col("score") < threshold)
    )
    found = [_rejected(pairs.where(poor), "LOW_CAPTION_SCORE", F.col("score"), threshold)]
    # The same pair on several pages is one sample; the newest page speaks for it.
    newest = Window.partitionBy(*_PAIR).orderBy(F.desc("captured_at"), F.asc("page_id"))
    picked = pairs.where(~poor).withColumn("rank", F.row_number().over(newest)).where("rank = 1")
    for most, one, other, rule in (
        (recipe.assemble.max_image_captions, "image_id", "text_id", "TOO_MANY_CAPTIONS"),
        (recipe.assemble.max_caption_images, "text_id", "image_id", "OVERUSED_CAPTION"),
    ):
        if most is not None:
            best = Window.partitionBy(one).orderBy(F.desc("score"), F.asc(other))
            ranked = picked.withColumn("rank", F.row_number().over(best)).persist()
            found.append(_rejected(ranked.where(F.col("rank") > most), rule, F.col("rank"), F.lit(most)))
            picked = ranked.where(F.col("rank") <= most)
    return map_batches(picked.select(*CAPTIONED.names), caption_documents, DOCUMENTS.schema), found, pairs.count()


def _scored(context: Context, captions: DataFrame, images: DataFrame) -> DataFrame:
    """Bring to each pair its score, null where it has none, and the page that it stands on."""
    scores = context.read(SCORES, "scores").where(F.col("block") == ALT_TEXT).select(*_PAIR, "page_id", "score")
    pages = context.read(PAGES, "pages").drop("blocks").dropDuplicates(["page_id"])
    pairs = map_batches(captions, caption_pairs, PAIRS).join(images, "image_id")
    return pairs.join(scores.distinct(), [*_PAIR, "page_id"], "left").join(pages, "page_id")


def _bound(pairs: DataFrame, recipe: Recipe) -> float | None:
    """Return the lowest score that stays: the recipe's own, or that of its best fraction, whichever is higher."""
    bound, fraction = recipe.score.min_caption_score, recipe.score.max_caption_fraction
    if fraction is None:
        return bound
    scored = pairs.where("score is not null").dropDuplicates(list(_PAIR))
    lowest = cut({row["score"]: row["count"] for row in scored.groupBy("score").count().collect()}, fraction)
    above_all = 2.0  # no cosine reaches it
    return max(above_all if lowest is None else lowest, -1.0 if bound is None else bound)


def _rejected(pairs: DataFrame, rule: str, measure: Column, threshold: Column) -> DataFrame:
    return entries(
        pairs, "assemble", "caption", rule=F.lit(rule), url=F.col("image_url"), measure=measure, threshold=threshold,
        detail=F.col("text"),
    )  # fmt: skip
