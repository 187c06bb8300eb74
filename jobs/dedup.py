"""Dedup: keep one of each set of duplicates and near-duplicates, and nothing that evaluation sets contain."""

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
    cluster_rows,
    clustered,
    images_to_drop,
    keep_first,
    near_duplicate_texts,
    with_signatures,
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
from pipeline.blocks import IMAGE_REFS, by_page, image_refs, text_blocks
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


def too_short_pages(pages: DataFrame, dropped: DataFrame, min_words: int) -> DataFrame:
    """Return pages with too few words left, with `rule`, `measure` (words left) and `threshold`.

    Args: pages as of jobs.tables.surviving_pages; dropped are blocks as rows of CAPTURE and `block`, repeats allowed.
    Pages without dropped blocks are never returned.
    """
    lost = dropped.groupBy(*CAPTURE).agg(F.collect_set("block").alias("lost"))
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
    """Return KEYED of pages as of jobs.tables.surviving_pages."""
    return map_batches(pages.select(*_PAGE_COLUMNS, "blocks", "positions"), keyed(min_words), KEYED)


def repeated_paragraphs(blocks: DataFrame, config: Paragraphs) -> DataFrame | None:
    """Return a row for each text block to drop, per rule; None without rules.

    Args: blocks are KEYED of distinct pages.
    Columns: CAPTURE, `url`, `block`, `rule`, `measure` (number of pages with this text), `threshold`, and `detail`: the
    page that keeps the text (the newest, then the largest id), or null.
    """
    bounds = (
        ("REPEATED_ON_HOST", ("key", "host"), config.max_host_pages),
        ("REPEATED_PARAGRAPH", ("key",), config.max_pages),
    )
    if all(bound is None for *_, bound in bounds):
        return None
    blocks = blocks.persist()
    repeated = [_repeated(blocks, rule, by, bound, config.keep) for rule, by, bound in bounds if bound is not None]
    return reduce(DataFrame.unionByName, repeated)


def keyed(min_words: int) -> Callable[[Batches], Batches]:
    """Return the function from pages to KEYED: a row for each text block with at least min_words and one letter."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            page, position, texts = text_blocks(batch)
            plain = normalised(texts)
            chosen = np.flatnonzero(
                pc.and_(pc.greater_equal(count(texts, WORD), min_words), pc.not_equal(plain, "")).to_numpy(False)
            )
            pages = batch.select(list(_PAGE_COLUMNS)).take(pa.array(page[chosen]))
            keys = [_key(text) for text in plain.take(pa.array(chosen)).to_pylist()]
            columns = [*pages.columns, pa.array(position[chosen], pa.int32()), pa.array(keys, pa.int64())]
            yield pa.RecordBatch.from_arrays(columns, schema=KEYED)

    return run


def normalised(texts: pa.Array) -> pa.Array:
    """Normalise texts for comparison: lower case, digits as 0, no punctuation, single spaces."""
    for pattern, replacement in ((r"\p{Nd}", "0"), (r"[\p{P}\p{S}]+", ""), (r"[\s\p{Z}]+", " ")):
        texts = pc.replace_substring_regex(texts, pattern=pattern, replacement=replacement)
    return pc.utf8_trim(pc.utf8_lower(texts), characters=" ")


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha1(text.encode(), usedforsecurity=False).digest()[:8], "big", signed=True)


def _repeated(blocks: DataFrame, rule: str, by: tuple[str, ...], bound: int, keep: str) -> DataFrame:
    """Find the blocks whose text is on more than `bound` pages with equal columns `by`."""
    on_pages = blocks.select(*by, "page_id", "captured_at").distinct().groupBy(*by)
    counted = on_pages.agg(F.count("*").alias("num_pages"), F.max(F.struct("captured_at", "page_id")).alias("newest"))
    dropped = blocks.join(counted.where(f"num_pages > {bound}"), list(by))
    if keep == "newest":
        dropped = dropped.where("page_id != newest.page_id")
    return dropped.selectExpr(
        *(*CAPTURE, "url", "block"),
        f"'{rule}' as rule",
        "cast(num_pages as double) as measure",
        f"cast({bound} as double) as threshold",
        "newest.page_id as detail" if keep == "newest" else "cast(null as string) as detail",
    )


# Keep the newest capture, of equally new ones the smallest id: the same choice in every run.
_NEWEST = ("captured_at desc", "page_id")


def work(context: Context) -> Outcome:
    """Write a rejection for all that is dropped; `detail` names the kept duplicate or the item of an evaluation set."""
    config, evaluation = context.recipe.dedup, context.recipe.decontaminate
    captures = surviving_pages(context, "filter")
    unique, copies = keep_first(_compared(captures, config), "page_id", ("warc_file", "warc_offset"), "warc_file")
    of_captures = rejection_rows(copies, "dedup", "page", rule=F.lit("DUPLICATE_CAPTURE"), detail=F.col("survivor"))
    # Contamination first: a contaminated page must not replace a clean duplicate.
    contaminated, of_texts, notes = contaminated_in_texts(context, captures, unique)
    kept, of_pages = _pages(context, captures, unique, of_texts)
    images, of_images = _images(context, _uses(context, captures, unique, kept))
    written, rejected = write_rejections(context, "dedup", [of_captures, *contaminated, *of_pages, *of_images])
    files = {"rejections": written}
    context.store.remove(NEAR_DUPLICATE_IMAGES.name)
    if config.phash_distance is not None:
        table = NEAR_DUPLICATE_IMAGES
        files[table.name] = context.write(cluster_rows(images), table, table.name)
    num_kept = kept.count()
    judged = {
        "page": num_kept + num_of_level(rejected, "page"),
        "image": images.count() + rejected.get("CONTAMINATED_IMAGE", 0),
    }
    # These need a pass over all texts or captions, so only for rules that are on.
    if evaluation.texts or config.paragraphs.max_host_pages is not None or config.paragraphs.max_pages is not None:
        judged["paragraph"] = num_paragraphs(captures, unique)
    if evaluation.texts:
        judged["caption"] = surviving_captions(context).count()
    images.unpersist()
    return Outcome(files, {"pages": num_kept}, rejected, notes, judged=judged)


def _compared(captures: DataFrame, config: Dedup) -> DataFrame:
    """Select the key of each page and the hashes to compare, so that texts are not shuffled."""
    hashes = [f"{SAME_TEXT} as text"] * config.text + [f"{SAME_IMAGES} as image_set"] * config.image_set
    return captures.selectExpr(*CAPTURE, "url", "captured_at", *hashes)


def _pages(
    context: Context, captures: DataFrame, unique: DataFrame, contaminated: DataFrame | None
) -> tuple[DataFrame, list[DataFrame]]:
    """Return the kept pages, and the rejections of the others and of repeated paragraphs.

    Args: captures are full rows; unique are the rows of _compared, one per page; contaminated are rejections of pages
    and paragraphs that evaluation sets contain.
    """
    config, kept, rejections = context.recipe.dedup, unique, []
    dropped_blocks = []
    if contaminated is not None:
        kept = _without(kept, contaminated.where("level = 'page'"))
        dropped_blocks.append(contaminated.where("level = 'paragraph'").select(*CAPTURE, "block"))
    for enabled, column, rule in (
        (config.url, "url", "DUPLICATE_URL"),
        (config.image_set, "image_set", "DUPLICATE_IMAGE_SET"),
        (config.text, "text", "DUPLICATE_TEXT"),
    ):
        if enabled:
            kept, copies = keep_first(kept, column, _NEWEST, "page_id")
            rejections.append(rejection_rows(copies, "dedup", "page", rule=F.lit(rule), detail=F.col("survivor")))
    if config.minhash.enabled:
        texts = captures.selectExpr(*CAPTURE, "url", "captured_at", f"{TEXT} as text")
        signed = _of(with_signatures(texts, config.minhash), kept)
        near = near_duplicate_texts(signed, config.minhash).persist()
        rejections.append(rejection_rows(near, "dedup", "page"))
        kept = _without(kept, near)
    paragraphs = keyed_paragraphs(captures, config.paragraphs.min_words)
    repeated = repeated_paragraphs(_of(paragraphs, kept), config.paragraphs)
    if repeated is not None:
        rejections.append(rejection_rows(repeated, "dedup", "paragraph"))
        dropped_blocks.append(repeated.select(*CAPTURE, "block"))
    if dropped_blocks:
        min_words = config.min_words_left
        if min_words is None:
            min_words = int(context.recipe.filters.text.bound("min_words") or 0)
        short = too_short_pages(captures, _of(reduce(DataFrame.union, dropped_blocks), kept), min_words).persist()
        rejections.append(rejection_rows(short, "dedup", "page"))
        kept = _without(kept, short)
    return kept, rejections


def _images(context: Context, uses: DataFrame) -> tuple[DataFrame, list[DataFrame]]:
    """Return the stored images with their clusters of near-duplicates, and the rejections of those to drop."""
    stored = drop_rejected(context, context.read(IMAGES).where("status = 'ok'"), "filter")
    rejections = []
    contaminated = contaminated_in_images(context, stored)
    if contaminated is not None:
        rejections.append(rejection_rows(contaminated, "dedup", "image"))
        stored = stored.join(contaminated.select("image_id"), "image_id", "left_anti")
    images = clustered(stored, context.recipe.dedup).persist()
    dropped = images_to_drop(images, uses, context.recipe.dedup)
    if dropped is not None:
        rejections.append(rejection_rows(dropped, "dedup", "image"))
    return images, rejections


def _uses(context: Context, captures: DataFrame, unique: DataFrame, kept: DataFrame) -> DataFrame:
    """List the pages that use each image, in a block or with a caption, without duplicate pages.

    A page that a filter rejected counts if its captions are still used.
    """
    dropped = unique.join(kept, "page_id", "left_anti").select("page_id")
    captions = surviving_captions(context).join(dropped, "page_id", "left_anti")
    uses = _of(map_batches(captures, image_refs, IMAGE_REFS), kept).select("image_id", "page_id")
    return uses.union(captions.select("image_id", "page_id")).distinct()


def _of(rows: DataFrame, pages: DataFrame) -> DataFrame:
    return rows.join(pages.select(*CAPTURE), list(CAPTURE), "left_semi")


def _without(rows: DataFrame, pages: DataFrame) -> DataFrame:
    return rows.join(pages.select(*CAPTURE), list(CAPTURE), "left_anti")


STEP = Step(STEPS["dedup"], ("dedup", "decontaminate"), work, needs=need_evaluation_sets)
