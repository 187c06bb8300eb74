"""Find what evaluation sets hold of a run, where the recipe names any."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ledger import PAGE, entries, surviving_captions
from jobs.step import Context
from pipeline.decontaminate.contaminated import contaminated_captions, contaminated_images, contaminated_texts
from pipeline.decontaminate.items import read_items
from pipeline.decontaminate.ngrams import ngrams
from pipeline.decontaminate.pictures import list_pictures, read_pictures
from pipeline.read.source import open_source
from schemas.recipe import Recipe


def need_evaluation_sets(recipe: Recipe) -> None:
    """Raise PathError when a file of texts cannot be opened, or a folder holds no image."""
    for path in recipe.decontaminate.texts:
        open_source(path).close()
    list_pictures(recipe.decontaminate.images)


def contaminated_in_texts(
    context: Context, captures: DataFrame, unique: DataFrame
) -> tuple[list[DataFrame], DataFrame | None, dict[str, str]]:
    """Return rejections; among them those of pages and paragraphs, None without sets of texts; and words for people.

    Args: captures are full rows; those that unique names stand for a page each.
    """
    held = context.recipe.decontaminate
    if not held.texts:
        return [], None, {}
    items = ngrams(read_items(held.texts, held.keys), held.ngram_words, held.min_item_words, held.max_shared_items)
    found = contaminated_texts(captures, items, held).join(unique.select(*PAGE), list(PAGE), "left_semi")
    of_texts = entries(found, "dedup", F.col("level")).persist()
    of_captions = entries(contaminated_captions(surviving_captions(context), items), "dedup", "caption")
    told = f"{len(items.places)}, of which {items.num_short} are too short to be looked for"
    return [of_texts, of_captions], of_texts, {"evaluation_items": told}


def contaminated_in_images(context: Context, images: DataFrame) -> DataFrame | None:
    """Return the images that go, with the reason of each; None without sets of images."""
    held = context.recipe.decontaminate
    if not held.images:
        return None
    pictures = read_pictures(context.spark, held.images, context.recipe.decode)
    return contaminated_images(images, pictures, held).persist()
