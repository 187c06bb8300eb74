"""Dedup: of equal captures, addresses, texts and images, and of images that look the same, one stays."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ledger import PAGE, entries, record, surviving_captions, surviving_pages
from jobs.step import Context, Outcome, Step
from pipeline.duplicates.pictures import surplus_pictures
from pipeline.duplicates.survivors import split
from pipeline.spark import map_batches
from pipeline.uses import USES, image_uses
from schemas.tables import IMAGES

# The newest capture stays; among equally new ones the smallest id, so that the choice is the same everywhere.
_NEWEST = ("captured_at desc", "page_id")
_TEXT = "array_join(transform(filter(blocks, b -> b.kind = 'text'), b -> b.text), '\n\n')"


def work(context: Context) -> Outcome:
    """Write a rejection for every duplicate, its `detail` naming the survivor."""
    config = context.recipe.dedup
    # A page without text equals only itself: one value for all of them would gather them in one task.
    text = f"if({_TEXT} = '', page_id, sha2({_TEXT}, 256)) as text"
    pages = surviving_pages(context, "filter").selectExpr(*PAGE, "url", "captured_at", text)
    found = []
    pages, gone = split(pages, "page_id", ("warc_file", "warc_offset"), "warc_file")
    found.append(entries(gone, "dedup", "page", rule=F.lit("DUPLICATE_CAPTURE"), detail=F.col("survivor")))
    unique = pages
    for wanted, column, rule in (
        (config.url, "url", "DUPLICATE_URL"),
        (config.text, "text", "DUPLICATE_TEXT"),
    ):
        if wanted:
            pages, gone = split(pages, column, _NEWEST, "page_id")
            found.append(entries(gone, "dedup", "page", rule=F.lit(rule), detail=F.col("survivor")))
    images = context.read(IMAGES, "images").where("status = 'ok'")
    surplus = surplus_pictures(images, _uses(context, unique, pages), config)
    if surplus is not None:
        found.append(entries(surplus, "dedup", "image"))
    rejections = found[0]
    for more in found[1:]:
        rejections = rejections.unionByName(more)
    files, rejected = record(context, "dedup", rejections)
    return Outcome({"rejections": files}, {"pages": pages.count()}, rejected)


def _uses(context: Context, pages: DataFrame, staying: DataFrame) -> DataFrame:
    """List the pages on which each image stands, in a block or with a caption; pages that are duplicates do not count.

    A page that a filter refused counts where its captions are wanted all the same.
    """
    blocks = surviving_pages(context, "filter").join(staying.select(*PAGE), list(PAGE), "left_semi")
    gone = pages.join(staying, "page_id", "left_anti").select("page_id")
    captions = surviving_captions(context).join(gone, "page_id", "left_anti")
    uses = map_batches(blocks, image_uses, USES).select("image_id", "page_id")
    return uses.union(captions.select("image_id", "page_id")).distinct()


STEP = Step("dedup", "rejections/dedup", ("pages", "measures", "images"), ("dedup",), work)
