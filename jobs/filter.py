"""Filter: apply the filters of the recipe to pages, paragraphs, image addresses and captions."""

import json
from functools import partial

import pyarrow as pa
from pydantic import ValidationError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters import CAPTION_FILTERS, IMAGE_FILTERS, PARAGRAPH_FILTERS
from jobs.step import Context, Outcome, Step, arrow_schema, map_batches
from jobs.tables import num_paragraphs, rejection_rows, write_rejections
from pipeline.blocks import IMAGE_REFS, image_refs
from pipeline.filter import (
    FILTERED_PAGE,
    MEASURED,
    REJECTED,
    can_retune,
    filter_pages,
    filter_rows,
    load_resources,
    retune_pages,
)
from pipeline.io.store import Manifest
from schemas.recipe import Recipe
from schemas.renames import current_recipe
from schemas.tables import CAPTIONS, CAPTURE, MEASURES, PAGES, REJECTIONS, STEPS, digest

_REJECTED = pa.field("rejected", REJECTED)
_AGAINST = ("a.rule", "a.measure", "a.threshold")


def work(context: Context) -> Outcome:
    """Write `measures`, and a rejection for each reason against a paragraph, page, image or caption.

    An output of another recipe is reused if it has all measures that this recipe needs.
    """
    recipe = context.recipe
    pages, captions = context.read(PAGES), context.read(CAPTIONS)
    before = context.store.manifest("measures")
    retuned = before is not None and _can_retune(before, context)
    if retuned:
        measured = context.read(MEASURES).drop("reasons")
        rows = pages.select(*CAPTURE, "url", "language", "language_score").join(measured, list(CAPTURE))
        filtered = map_batches(rows.select(*MEASURED.names), partial(retune_pages, recipe), FILTERED_PAGE).persist()
    else:
        filtered = map_batches(pages, filter_pages(recipe), FILTERED_PAGE).persist()
    of_pages = filtered.withColumn("a", F.explode("rejected")).select(
        "page_id", "url", "warc_file", "warc_offset", "a.level", "a.block", *_AGAINST
    )
    rejections = [rejection_rows(of_pages, "filter", F.col("level")), _captions(captions, recipe)]
    if retuned:
        rejections.append(context.read(REJECTIONS, "filter").where("level = 'paragraph'"))
    if any(filter.on(recipe) for filter in IMAGE_FILTERS):
        rejections.append(_images(pages, captions, recipe))
    # A table that is read must not be overwritten: new files are written beside the old ones, which are removed later.
    below = f"/retuned-{digest(json.dumps(STEP.config(recipe), sort_keys=True))}" if retuned else ""
    measures = context.write(filtered, MEASURES, f"measures{below}")
    files, rejected = write_rejections(context, "filter", rejections, below)
    kept = filtered.where(F.size("reasons") == 0).count()
    filtered.unpersist()
    return Outcome(
        {"measures": measures, "rejections": files},
        {"pages": kept},
        rejected,
        notes={"changed": _changes(before, kept, rejected, retuned)} if before else {},
        leftovers=[file for of_table in before.files.values() for file in of_table] if before and retuned else [],
        judged=_judged(pages, captions, recipe),
    )


def _can_retune(before: Manifest, context: Context) -> bool:
    pages = context.store.manifest("pages")
    try:
        old = Recipe.model_validate(before.recipe)
        if current_recipe(before.recipe)[1]:
            return False  # its measures have former names
    except ValidationError:  # written by another version of Weft
        return False
    return pages is not None and before.inputs == {"pages": pages.digest} and can_retune(old, context.recipe)


def _changes(before: Manifest, kept: int, rejected: dict[str, int], retuned: bool) -> str:
    """Describe how the counts changed from the previous output."""
    rules = sorted(before.rejected.keys() | rejected.keys())
    counts = [(rule, before.rejected.get(rule, 0), rejected.get(rule, 0)) for rule in rules]
    changed = [f"{rule} {old:,} -> {new:,}" for rule, old, new in counts if old != new]
    how = "from stored measures" if retuned else "measured again"
    pages = f"kept pages {before.counts['pages']:,} -> {kept:,}"
    return f"{how}: {'; '.join([pages, *changed])}"


def _judged(pages: DataFrame, captions: DataFrame, recipe: Recipe) -> dict[str, int]:
    """Count the rows that active filters have seen; counts of pages and captions come from Parquet footers."""
    counts = {"page": pages.count(), "caption": captions.count()}
    if any(filter.on(recipe) for filter in PARAGRAPH_FILTERS):
        counts["paragraph"] = num_paragraphs(pages)
    if any(filter.on(recipe) for filter in IMAGE_FILTERS):
        of_blocks = pages.selectExpr("explode(filter(blocks, b -> b.kind = 'image').image_url) as image_url")
        counts["image"] = of_blocks.union(captions.select("image_url")).distinct().count()
    return counts


def _captions(captions: DataFrame, recipe: Recipe) -> DataFrame:
    pairs = map_batches(captions, filter_rows(CAPTION_FILTERS, recipe), CAPTIONS.schema.append(_REJECTED))
    found = pairs.withColumn("a", F.explode("rejected")).select(
        "page_id", "image_id", F.col("image_url").alias("url"), F.col("caption").alias("detail"), *_AGAINST
    )
    return rejection_rows(found, "filter", "caption")


def _images(pages: DataFrame, captions: DataFrame, recipe: Recipe) -> DataFrame:
    """Filter the image addresses of blocks and captions; each address is rejected once per rule."""
    columns = ("image_id", "image_url")
    images = map_batches(pages, image_refs, IMAGE_REFS).select(*columns).union(captions.select(*columns))
    filtered = map_batches(images, filter_rows(IMAGE_FILTERS, recipe), arrow_schema(images).append(_REJECTED))
    found = filtered.withColumn("a", F.explode("rejected")).select(
        "image_id", F.col("image_url").alias("url"), *_AGAINST
    )
    return rejection_rows(found.dropDuplicates(["image_id", "rule"]), "filter", "image")


def _needs(recipe: Recipe) -> None:
    load_resources(recipe.filters.lists)


STEP = Step(STEPS["filter"], ("filters",), work, retunes=True, needs=_needs)
