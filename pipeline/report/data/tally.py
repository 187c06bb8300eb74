"""Tables to counts by value: of every file on its own, so that Spark only adds up.

Numbers are whole: counts, pixels and bytes to four digits, the rest cut off; scores in thousandths, rounded down. So
there are few different ones, however many rows, and bins and quantiles come of them exactly.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filter import text_of
from pipeline.funnel.taken import hosts_of
from pipeline.report.data.scan import Batches, read
from pipeline.report.data.sources import Source
from pipeline.store import Store

TALLY = pa.schema([("of", pa.string()), ("name", pa.string()), ("value", pa.string()), ("count", pa.int64())])
DIRECTIVES = ("PAGE_DIRECTIVE", "DIRECTIVE")
_POWERS = 10 ** np.arange(4, 19)

Counted = Iterator[tuple[str, str, pa.Array]]  # of what, the name of the measure or share, values

_COLUMNS = {
    "pages": ("language", "language_score", "host", "licence"),
    "images": ("image_url", "status", "width", "height", "num_bytes"),
    "scores": ("block", "score"),
    "safety": ("unsafe",),
    "index": ("language", "host", "num_words", "widths", "scores"),
    "index images": ("widths", "heights", "members"),
    "documents": ("corpus", "language", "host", "blocks"),
    "texts of pages": ("blocks",),
    "rejections": ("rule", "level", "detail"),
}


def tally(store: Store, source: Source) -> Batches:
    """Count what a file holds; batches of TALLY, in which a value may stand several times."""
    for batch in read(store, source.path, _COLUMNS[source.kind]):
        for of, name, values in _OF[source.kind](batch, source.of):
            counted = pc.value_counts(values.drop_null())
            if len(counted):
                ends = [pa.array([text] * len(counted), pa.string()) for text in (of, name)]
                value = counted.field("values").cast(pa.string())
                yield pa.RecordBatch.from_arrays([*ends, value, counted.field("counts")], schema=TALLY)


def whole(values: pa.Array) -> pa.Array:
    """Cut whole numbers, 0 and up, after four digits."""
    numbers = values.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
    scale = 10 ** np.searchsorted(_POWERS, numbers, side="right")
    return pa.array(numbers - numbers % scale)


def thousandths(values: pa.Array) -> pa.Array:
    """Round scores down to thousandths; what a detour over float32 did to their five decimals is undone first."""
    numbers = values.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
    return pa.array(np.floor(np.round(numbers[np.isfinite(numbers)] * 1e5) / 100).astype(np.int64))


def _pages(batch: pa.RecordBatch, of: str) -> Counted:
    yield "pages", "languages", batch["language"]
    yield "pages", "hosts", batch["host"]
    yield "pages", "language_score", thousandths(batch["language_score"])
    if "licence" in batch.schema.names:
        yield "pages", "licences", batch["licence"]


def _images(batch: pa.RecordBatch, of: str) -> Counted:
    yield "images", "image status", batch["status"]
    yield "images", "hosts", hosts_of(batch["image_url"])
    for name, column in (("width", "width"), ("height", "height"), ("bytes", "num_bytes")):
        yield "images", name, whole(batch[column])


def _scores(batch: pa.RecordBatch, of: str) -> Counted:
    of_alt = pc.less(batch["block"], 0)
    yield "alt texts", "clip_score", thousandths(batch["score"].filter(of_alt))
    yield "texts of pages", "clip_score", thousandths(batch["score"].filter(pc.invert(of_alt)))


def _safety(batch: pa.RecordBatch, of: str) -> Counted:
    yield "images", "unsafe", thousandths(batch["unsafe"])


def _index(batch: pa.RecordBatch, of: str) -> Counted:
    yield of, "languages", batch["language"]
    yield of, "hosts", batch["host"]
    yield of, "words", whole(batch["num_words"])
    yield of, "clip_score", thousandths(batch["scores"].flatten())
    if of == "interleaved":
        yield of, "images", whole(pc.list_value_length(batch["widths"]))


def _index_images(batch: pa.RecordBatch, of: str) -> Counted:
    members = batch["members"].flatten()
    pictures = pc.ends_with(members.field("name"), "jpg")
    yield of, "width", whole(batch["widths"].flatten())
    yield of, "height", whole(batch["heights"].flatten())
    yield of, "bytes", whole(members.field("size").filter(pictures))


def _documents(batch: pa.RecordBatch, of: str) -> Counted:
    for corpus in pc.unique(batch["corpus"]).to_pylist():
        mine = batch.filter(pc.equal(batch["corpus"], corpus))
        yield corpus, "languages", mine["language"]
        yield corpus, "hosts", mine["host"]
        yield from _blocks(mine, corpus)


def _blocks(batch: pa.RecordBatch, of: str) -> Counted:
    rows = [blocks or [] for blocks in batch["blocks"].to_pylist()]
    pictures = [[b for b in blocks if b["kind"] == "image"] for blocks in rows]
    yield of, "words", whole(pa.array([len(text_of(blocks).split()) for blocks in rows], pa.int64()))
    if of in ("interleaved", "pages"):
        yield of, "images", whole(pa.array([len(found) for found in pictures], pa.int64()))
    yield of, "clip_score", thousandths(pa.array([b.get("score") for found in pictures for b in found], pa.float64()))


def _texts_of_pages(batch: pa.RecordBatch, of: str) -> Counted:
    yield from _blocks(batch, "pages")


def _rejections(batch: pa.RecordBatch, of: str) -> Counted:
    told = batch.filter(pc.is_in(batch["rule"], pa.array(DIRECTIVES)))
    for level in pc.unique(told["level"]).to_pylist():
        yield f"{level}s", "directives", pc.fill_null(told["detail"].filter(pc.equal(told["level"], level)), "")


_OF = {
    "pages": _pages,
    "images": _images,
    "scores": _scores,
    "safety": _safety,
    "index": _index,
    "index images": _index_images,
    "documents": _documents,
    "texts of pages": _texts_of_pages,
    "rejections": _rejections,
}
