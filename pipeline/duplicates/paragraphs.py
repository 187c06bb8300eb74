"""Paragraphs that stand on many pages: of a host, as furniture does, or of the whole run.

Paragraphs are the same when they are in lower case, with every digit a 0, single spaces, and neither punctuation nor
symbols; 64 bits of SHA-1 stand for them, so no text is shuffled. A page counts once, however often it says one.
Source: CCNet (Wenzek et al., arXiv 1911.00359) compares so, and keeps the first; it removes accents too, we do not.
OBELICS (arXiv 2306.16527) removes from all pages of a host what stands there three times or more, by its code; it
compares texts as they are.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters.words import WORD, count
from pipeline.blocks import text_blocks
from pipeline.spark import map_batches
from schemas.recipe.dedup import Paragraphs
from schemas.tables import PAGES

_PAGE = ("page_id", "warc_file", "warc_offset", "url", "host", "captured_at")
KEYED = pa.schema(
    [*(PAGES.schema.field(name) for name in _PAGE), pa.field("block", pa.int32()), pa.field("key", pa.int64())]
)

Batches = Iterator[pa.RecordBatch]


def keyed_paragraphs(pages: DataFrame, min_words: int) -> DataFrame:
    """Return KEYED of pages as jobs.ledger.surviving_pages has them."""
    return map_batches(pages.select(*_PAGE, "blocks", "positions"), keyed(min_words), KEYED)


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
            pages = batch.select(list(_PAGE)).take(pa.array(page[wanted]))
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
        *("page_id", "warc_file", "warc_offset", "url", "block"),
        f"'{rule}' as rule",
        "cast(num_pages as double) as measure",
        f"cast({bound} as double) as threshold",
        "newest.page_id as detail" if keep == "newest" else "cast(null as string) as detail",
    )
