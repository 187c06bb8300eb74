"""Dedup: of what is equal or looks the same one stays, and of what evaluation sets hold, none."""

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.contaminated import contaminated_in_images, contaminated_in_texts, need_evaluation_sets
from jobs.drops import of_level
from jobs.ledger import PAGE, entries, num_paragraphs, record, surviving_captions, surviving_pages, without_refused
from jobs.step import Context, Outcome, Step
from pipeline.duplicates.keys import SAME_IMAGES, SAME_TEXT, TEXT
from pipeline.duplicates.paragraphs import keyed_paragraphs, repeated_paragraphs
from pipeline.duplicates.pictures import clustered, surplus_pictures, told_clusters
from pipeline.duplicates.remnants import remnants
from pipeline.duplicates.survivors import split
from pipeline.duplicates.texts import signed_texts, surplus_texts
from pipeline.spark import map_batches
from pipeline.uses import USES, image_uses
from schemas.recipe.dedup import Dedup
from schemas.tables import IMAGES, LOOKALIKES

# The newest capture stays; among equally new ones the smallest id, so that the choice is the same everywhere.
_NEWEST = ("captured_at desc", "page_id")


def work(context: Context) -> Outcome:
    """Write a rejection for everything that goes, its `detail` naming the survivor or the item of an evaluation set."""
    config, held = context.recipe.dedup, context.recipe.decontaminate
    captures = surviving_pages(context, "filter")
    unique, gone = split(_compared(captures, config), "page_id", ("warc_file", "warc_offset"), "warc_file")
    twice = entries(gone, "dedup", "page", rule=F.lit("DUPLICATE_CAPTURE"), detail=F.col("survivor"))
    # What evaluation sets hold goes first; the rest is told by what is left.
    contaminated, shared, notes = contaminated_in_texts(context, captures, unique)
    staying, of_pages = _pages(context, captures, unique, shared)
    images, of_images = _images(context, _uses(context, captures, unique, staying))
    written, rejected = record(context, "dedup", [twice, *contaminated, *of_pages, *of_images])
    files = {"rejections": written}
    context.store.remove(LOOKALIKES.name)
    if config.image_distance is not None:
        files["lookalikes"] = context.write(told_clusters(images), LOOKALIKES, LOOKALIKES.name)
    kept = staying.count()
    judged = {
        "page": kept + of_level(rejected, "page"),
        "image": images.count() + rejected.get("CONTAMINATED_IMAGE", 0),
    }
    # A pass over all texts, or all captions: not for rules that are off.
    if held.texts or config.paragraphs.max_host_pages is not None or config.paragraphs.max_pages is not None:
        judged["paragraph"] = num_paragraphs(captures, unique)
    if held.texts:
        judged["caption"] = surviving_captions(context).count()
    images.unpersist()
    return Outcome(files, {"pages": kept}, rejected, notes, judged=judged)


def _compared(captures: DataFrame, config: Dedup) -> DataFrame:
    """Return what tells a page, and the hashes that stand for what is compared of it: texts are not shuffled."""
    hashes = [f"{SAME_TEXT} as text"] * config.text + [f"{SAME_IMAGES} as image_set"] * config.image_set
    return captures.selectExpr(*PAGE, "url", "captured_at", *hashes)


def _pages(
    context: Context, captures: DataFrame, unique: DataFrame, shared: DataFrame | None
) -> tuple[DataFrame, list[DataFrame]]:
    """Return the pages that stay, and the rejections of the others and of repeated paragraphs.

    Args: captures are full rows, unique what is compared of those that stand for a page; shared are rejections of the
    pages and paragraphs that evaluation sets hold.
    """
    config, staying, found = context.recipe.dedup, unique, []
    lost = []
    if shared is not None:
        staying = _without(staying, shared.where("level = 'page'"))
        lost.append(shared.where("level = 'paragraph'").select(*PAGE, "block"))
    for wanted, column, rule in (
        (config.url, "url", "DUPLICATE_URL"),
        (config.image_set, "image_set", "DUPLICATE_IMAGE_SET"),
        (config.text, "text", "DUPLICATE_TEXT"),
    ):
        if wanted:
            staying, gone = split(staying, column, _NEWEST, "page_id")
            found.append(entries(gone, "dedup", "page", rule=F.lit(rule), detail=F.col("survivor")))
    if config.near_text.enabled:
        texts = captures.selectExpr(*PAGE, "url", "captured_at", f"{TEXT} as text")
        near = surplus_texts(_of(signed_texts(texts, config.near_text), staying), config.near_text).persist()
        found.append(entries(near, "dedup", "page"))
        staying = _without(staying, near)
    paragraphs = keyed_paragraphs(captures, config.paragraphs.min_words)
    repeated = repeated_paragraphs(_of(paragraphs, staying), config.paragraphs)
    if repeated is not None:
        found.append(entries(repeated, "dedup", "paragraph"))
        lost.append(repeated.select(*PAGE, "block"))
    if lost:
        least = context.recipe.filters.text.min_words if config.min_words_left is None else config.min_words_left
        small = remnants(captures, _of(reduce(DataFrame.union, lost), staying), least or 0).persist()
        found.append(entries(small, "dedup", "page"))
        staying = _without(staying, small)
    return staying, found


def _images(context: Context, uses: DataFrame) -> tuple[DataFrame, list[DataFrame]]:
    """Return the stored images, with their clusters of look-alikes, and the rejections of those that go."""
    stored = without_refused(context, context.read(IMAGES, "images").where("status = 'ok'"), "filter")
    found = []
    of_sets = contaminated_in_images(context, stored)
    if of_sets is not None:
        found.append(entries(of_sets, "dedup", "image"))
        stored = stored.join(of_sets.select("image_id"), "image_id", "left_anti")
    images = clustered(stored, context.recipe.dedup).persist()
    surplus = surplus_pictures(images, uses, context.recipe.dedup)
    if surplus is not None:
        found.append(entries(surplus, "dedup", "image"))
    return images, found


def _uses(context: Context, captures: DataFrame, unique: DataFrame, staying: DataFrame) -> DataFrame:
    """List the pages on which each image stands, in a block or with a caption; pages that are duplicates do not count.

    A page that a filter refused counts where its captions are wanted all the same.
    """
    gone = unique.join(staying, "page_id", "left_anti").select("page_id")
    captions = surviving_captions(context).join(gone, "page_id", "left_anti")
    uses = _of(map_batches(captures, image_uses, USES), staying).select("image_id", "page_id")
    return uses.union(captions.select("image_id", "page_id")).distinct()


def _of(rows: DataFrame, pages: DataFrame) -> DataFrame:
    return rows.join(pages.select(*PAGE), list(PAGE), "left_semi")


def _without(rows: DataFrame, pages: DataFrame) -> DataFrame:
    return rows.join(pages.select(*PAGE), list(PAGE), "left_anti")


STEP = Step(
    "dedup",
    "rejections/dedup",
    ("pages", "measures", "images"),
    ("dedup", "decontaminate"),
    work,
    needs=need_evaluation_sets,
)
