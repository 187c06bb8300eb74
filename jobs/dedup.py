"""Dedup: of what is equal or nearly equal one stays, and of what evaluation sets hold, none."""

import hashlib
from collections.abc import Callable
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters.words import WORD, count
from jobs.decontaminate import contaminated_in_images, contaminated_in_texts, need_evaluation_sets
from jobs.near_duplicates import (
    SAME_IMAGES,
    SAME_TEXT,
    TEXT,
    clustered,
    keep_first,
    signed_texts,
    surplus_pictures,
    surplus_texts,
    told_clusters,
)
from jobs.step import Context, Outcome, Step, map_batches, num_of_level
from jobs.tables import (
    drop_rejected,
    num_paragraphs,
    rejection_rows,
    surviving_captions,
    surviving_pages,
    write_rejections,
)
from pipeline.blocks import USES, by_page, image_uses, text_blocks
from schemas.recipe import Dedup, Paragraphs
from schemas.tables import CAPTURE, IMAGES, NEAR_DUPLICATE_IMAGES, PAGES, REJECTIONS, STEPS, Batches

_PAGE = (*CAPTURE, "url")
_COUNTED = pa.schema(
    [
        *(REJECTIONS.schema.field(name) for name in _PAGE),
        pa.field("blocks", pa.list_(pa.int32())),
        pa.field("words", pa.list_(pa.int32())),
    ]
)
_LEFT = "filter(arrays_zip(blocks, words), b -> not array_contains(lost, b.blocks))"


def remnants(pages: DataFrame, gone: DataFrame, min_words: int) -> DataFrame:
    """Return the pages that go, with `rule`, `measure` (words left) and `threshold`; those that lost nothing stay.

    Args: pages as jobs.tables.surviving_pages has them; gone are rows with `page_id`, `warc_file`, `warc_offset` and
    `block`, which may name a block twice.
    """
    lost = gone.groupBy(*CAPTURE).agg(F.collect_set("block").alias("lost"))
    counted = map_batches(pages.select(*_PAGE, "blocks", "positions"), _counted, _COUNTED)
    return (
        counted.join(lost, list(CAPTURE))
        .withColumn("measure", F.expr(f"cast(aggregate({_LEFT}, 0L, (sum, b) -> sum + b.words) as double)"))
        .where(f"measure < {min_words}")
        .selectExpr(*_PAGE, "'TOO_SHORT_AFTER_DEDUP' as rule", "measure", f"cast({min_words} as double) as threshold")
    )


def _counted(batches: Batches) -> Batches:
    for batch in batches:
        page, position, texts = text_blocks(batch)
        lists = [by_page(of, page, len(batch)) for of in (pa.array(position, pa.int32()), count(texts, WORD))]
        yield pa.RecordBatch.from_arrays([*batch.select(list(_PAGE)).columns, *lists], schema=_COUNTED)


_PAGE_COLUMNS = (*CAPTURE, "url", "host", "captured_at")
KEYED = pa.schema(
    [*(PAGES.schema.field(name) for name in _PAGE_COLUMNS), pa.field("block", pa.int32()), pa.field("key", pa.int64())]
)


def keyed_paragraphs(pages: DataFrame, min_words: int) -> DataFrame:
    """Return KEYED of pages as jobs.tables.surviving_pages has them."""
    return map_batches(pages.select(*_PAGE_COLUMNS, "blocks", "positions"), keyed(min_words), KEYED)


def repeated_paragraphs(blocks: DataFrame, config: Paragraphs) -> DataFrame | None:
    """Return a row for each text block that goes, and rule; None if none may.

    Args: blocks are KEYED of pages that are there once each.
    Columns: those that tell the page, `block`, `rule`, `measure` (how many pages have it), `threshold`, and `detail`:
    the page that keeps it, null where none does. It is the newest, and among equally new ones that of the largest id.
    """
    bounds = (
        ("REPEATED_ON_HOST", ("key", "host"), config.max_host_pages),
        ("REPEATED_PARAGRAPH", ("key",), config.max_pages),
    )
    if all(bound is None for *_, bound in bounds):
        return None
    blocks = blocks.persist()
    gone = [_beyond(blocks, rule, by, bound, config.keep) for rule, by, bound in bounds if bound is not None]
    return reduce(DataFrame.unionByName, gone)


def keyed(min_words: int) -> Callable[[Batches], Batches]:
    """Return the function from pages to KEYED: a row for each text block of min_words or more that has a letter."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            page, position, texts = text_blocks(batch)
            plain = normalised(texts)
            wanted = np.flatnonzero(
                pc.and_(pc.greater_equal(count(texts, WORD), min_words), pc.not_equal(plain, "")).to_numpy(False)
            )
            pages = batch.select(list(_PAGE_COLUMNS)).take(pa.array(page[wanted]))
            keys = [_key(text) for text in plain.take(pa.array(wanted)).to_pylist()]
            columns = [*pages.columns, pa.array(position[wanted], pa.int32()), pa.array(keys, pa.int64())]
            yield pa.RecordBatch.from_arrays(columns, schema=KEYED)

    return run


def normalised(texts: pa.Array) -> pa.Array:
    """Return texts as they are compared: n strings to n."""
    for pattern, replacement in ((r"\p{Nd}", "0"), (r"[\p{P}\p{S}]+", ""), (r"[\s\p{Z}]+", " ")):
        texts = pc.replace_substring_regex(texts, pattern=pattern, replacement=replacement)
    return pc.utf8_trim(pc.utf8_lower(texts), characters=" ")


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha1(text.encode(), usedforsecurity=False).digest()[:8], "big", signed=True)


def _beyond(blocks: DataFrame, rule: str, by: tuple[str, ...], bound: int, keep: str) -> DataFrame:
    """Find the blocks whose text stands on more than `bound` pages, of those that have the columns `by` in common."""
    on_pages = blocks.select(*by, "page_id", "captured_at").distinct().groupBy(*by)
    often = on_pages.agg(F.count("*").alias("num_pages"), F.max(F.struct("captured_at", "page_id")).alias("newest"))
    gone = blocks.join(often.where(f"num_pages > {bound}"), list(by))
    if keep == "newest":
        gone = gone.where("page_id != newest.page_id")
    return gone.selectExpr(
        *(*CAPTURE, "url", "block"),
        f"'{rule}' as rule",
        "cast(num_pages as double) as measure",
        f"cast({bound} as double) as threshold",
        "newest.page_id as detail" if keep == "newest" else "cast(null as string) as detail",
    )


# The newest capture stays; among equally new ones the smallest id, so that the choice is the same everywhere.
_NEWEST = ("captured_at desc", "page_id")


def work(context: Context) -> Outcome:
    """Write a rejection for everything that goes, its `detail` naming the survivor or the item of an evaluation set."""
    config, held = context.recipe.dedup, context.recipe.decontaminate
    captures = surviving_pages(context, "filter")
    unique, gone = keep_first(_compared(captures, config), "page_id", ("warc_file", "warc_offset"), "warc_file")
    twice = rejection_rows(gone, "dedup", "page", rule=F.lit("DUPLICATE_CAPTURE"), detail=F.col("survivor"))
    # What evaluation sets hold goes first; the rest is told by what is left.
    contaminated, shared, notes = contaminated_in_texts(context, captures, unique)
    staying, of_pages = _pages(context, captures, unique, shared)
    images, of_images = _images(context, _uses(context, captures, unique, staying))
    written, rejected = write_rejections(context, "dedup", [twice, *contaminated, *of_pages, *of_images])
    files = {"rejections": written}
    context.store.remove(NEAR_DUPLICATE_IMAGES.name)
    if config.phash_distance is not None:
        files[NEAR_DUPLICATE_IMAGES.name] = context.write(
            told_clusters(images), NEAR_DUPLICATE_IMAGES, NEAR_DUPLICATE_IMAGES.name
        )
    kept = staying.count()
    judged = {
        "page": kept + num_of_level(rejected, "page"),
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
    return captures.selectExpr(*CAPTURE, "url", "captured_at", *hashes)


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
        lost.append(shared.where("level = 'paragraph'").select(*CAPTURE, "block"))
    for wanted, column, rule in (
        (config.url, "url", "DUPLICATE_URL"),
        (config.image_set, "image_set", "DUPLICATE_IMAGE_SET"),
        (config.text, "text", "DUPLICATE_TEXT"),
    ):
        if wanted:
            staying, gone = keep_first(staying, column, _NEWEST, "page_id")
            found.append(rejection_rows(gone, "dedup", "page", rule=F.lit(rule), detail=F.col("survivor")))
    if config.minhash.enabled:
        texts = captures.selectExpr(*CAPTURE, "url", "captured_at", f"{TEXT} as text")
        near = surplus_texts(_of(signed_texts(texts, config.minhash), staying), config.minhash).persist()
        found.append(rejection_rows(near, "dedup", "page"))
        staying = _without(staying, near)
    paragraphs = keyed_paragraphs(captures, config.paragraphs.min_words)
    repeated = repeated_paragraphs(_of(paragraphs, staying), config.paragraphs)
    if repeated is not None:
        found.append(rejection_rows(repeated, "dedup", "paragraph"))
        lost.append(repeated.select(*CAPTURE, "block"))
    if lost:
        least = config.min_words_left
        if least is None:
            least = int(context.recipe.filters.text.bound("min_words") or 0)
        small = remnants(captures, _of(reduce(DataFrame.union, lost), staying), least).persist()
        found.append(rejection_rows(small, "dedup", "page"))
        staying = _without(staying, small)
    return staying, found


def _images(context: Context, uses: DataFrame) -> tuple[DataFrame, list[DataFrame]]:
    """Return the stored images, with their clusters of near-duplicates, and the rejections of those that go."""
    stored = drop_rejected(context, context.read(IMAGES).where("status = 'ok'"), "filter")
    found = []
    of_sets = contaminated_in_images(context, stored)
    if of_sets is not None:
        found.append(rejection_rows(of_sets, "dedup", "image"))
        stored = stored.join(of_sets.select("image_id"), "image_id", "left_anti")
    images = clustered(stored, context.recipe.dedup).persist()
    surplus = surplus_pictures(images, uses, context.recipe.dedup)
    if surplus is not None:
        found.append(rejection_rows(surplus, "dedup", "image"))
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
    return rows.join(pages.select(*CAPTURE), list(CAPTURE), "left_semi")


def _without(rows: DataFrame, pages: DataFrame) -> DataFrame:
    return rows.join(pages.select(*CAPTURE), list(CAPTURE), "left_anti")


STEP = Step(
    STEPS["dedup"],
    ("dedup", "decontaminate"),
    work,
    needs=need_evaluation_sets,
)
