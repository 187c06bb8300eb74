"""Filter: judge every page by its text and every caption by its words."""

from pyspark.sql import functions as F

from filters import CAPTION_FILTERS, PAGE_FILTERS
from jobs.ledger import entries, record
from jobs.step import Context, Outcome, Step
from pipeline.filter import JUDGED_PAGE, judge_captions, judge_pages
from pipeline.spark import map_batches
from schemas.tables import CAPTIONS, MEASURES, PAGES

_AGAINST = ("a.rule", "a.measure", "a.threshold")


def work(context: Context) -> Outcome:
    """Write `measures`, and a rejection for every reason against a page or caption."""
    recipe = context.recipe
    judged = map_batches(context.read(PAGES, "pages"), judge_pages(PAGE_FILTERS, recipe), JUDGED_PAGE).persist()
    pages = judged.withColumn("a", F.explode("rejected")).select(
        "page_id", "url", "warc_file", "warc_offset", *_AGAINST
    )
    with_verdict = CAPTIONS.schema.append(JUDGED_PAGE.field("rejected"))
    pairs = map_batches(context.read(CAPTIONS, "pages"), judge_captions(CAPTION_FILTERS, recipe), with_verdict)
    captions = pairs.withColumn("a", F.explode("rejected")).select(
        "page_id", "image_id", F.col("image_url").alias("url"), F.col("caption").alias("detail"), *_AGAINST
    )
    measures = context.write(judged, MEASURES, "measures")
    rejections, rejected = record(
        context, "filter", entries(pages, "filter", "page").unionByName(entries(captions, "filter", "caption"))
    )
    kept = judged.where(F.size("reasons") == 0).count()
    judged.unpersist()
    return Outcome({"measures": measures, "rejections": rejections}, {"pages": kept}, rejected)


STEP = Step("filter", "measures", ("pages",), ("filters",), work)
