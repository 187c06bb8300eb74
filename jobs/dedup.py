"""Dedup: of equal captures, addresses, texts and images one stays. Exact equality only."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ledger import PAGE, entries, record, surviving_pages
from jobs.step import Context, Outcome, Step
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
    pages, gone = _split(pages, "page_id", ("warc_file", "warc_offset"), "warc_file")
    found.append(entries(gone, "dedup", "page", rule=F.lit("DUPLICATE_CAPTURE"), detail=F.col("survivor")))
    for wanted, column, rule in (
        (config.url, "url", "DUPLICATE_URL"),
        (config.text, "text", "DUPLICATE_TEXT"),
    ):
        if wanted:
            pages, gone = _split(pages, column, _NEWEST, "page_id")
            found.append(entries(gone, "dedup", "page", rule=F.lit(rule), detail=F.col("survivor")))
    if config.image:
        images = context.read(IMAGES, "images").where("status = 'ok'").select("image_id", "image_url", "sha256")
        _, gone = _split(images, "sha256", ("image_id",), "image_id")
        found.append(
            entries(
                gone,
                "dedup",
                "image",
                rule=F.lit("DUPLICATE_IMAGE"),
                url=F.col("image_url"),
                detail=F.col("survivor"),
            )
        )
    rejections = found[0]
    for more in found[1:]:
        rejections = rejections.unionByName(more)
    files, rejected = record(context, "dedup", rejections)
    return Outcome({"rejections": files}, {"pages": pages.count()}, rejected)


def _split(frame: DataFrame, column: str, order: tuple[str, ...], name: str) -> tuple[DataFrame, DataFrame]:
    """Split into the first row of each value of a column, and the others with `survivor`: the first one's `name`.

    Args: order is in SQL.
    """
    window = f"over (partition by {column} order by {', '.join(order)})"
    ranked = frame.selectExpr("*", f"row_number() {window} as rank", f"first({name}) {window} as survivor").persist()
    return ranked.where("rank = 1").drop("rank", "survivor"), ranked.where("rank > 1")


STEP = Step("dedup", "rejections/dedup", ("pages", "measures", "images"), ("dedup",), work)
