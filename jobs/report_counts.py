"""Counts for the report: tables to counts by value, shares and histograms."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.report_sources import TableFiles, read
from pipeline.filter import text_of
from pipeline.inspect.funnel import hosts_of
from pipeline.io.store import Store
from pipeline.shards.stats import QUANTILES
from schemas.tables import Batches

TALLY = pa.schema([("of", pa.string()), ("name", pa.string()), ("value", pa.string()), ("count", pa.int64())])
DIRECTIVES = ("PAGE_OPT_OUT", "OPT_OUT")
_POWERS = 10 ** np.arange(4, 19)

Counted = Iterator[tuple[str, str, pa.Array]]  # of what, the name of the measure or share, values

_COLUMNS = {
    "pages": ("language", "language_score", "host", "license"),
    "images": ("image_url", "status", "width", "height", "num_bytes"),
    "scores": ("block", "score"),
    "safety": ("unsafe",),
    "index": ("language", "host", "num_words", "widths", "scores"),
    "index images": ("widths", "heights", "members"),
    "documents": ("corpus", "language", "host", "blocks"),
    "texts of pages": ("blocks",),
    "rejections": ("rule", "level", "detail"),
}


def tally(store: Store, source: TableFiles) -> Batches:
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
    if "license" in batch.schema.names:
        yield "pages", "licenses", batch["license"]


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


MAX_SHARES = 20
MAX_VALUE_CHARACTERS = 200  # of a value that is shown
TITLES = {
    "languages": "Languages",
    "hosts": "Hosts",
    "licenses": "Licenses that pages state",
    "directives": "What pages and servers forbid",
    "image status": "What became of image addresses",
}


def shares(counted: DataFrame) -> list[dict[str, Any]]:
    """Describe each share of each thing. Args: counted are rows as of TALLY, each value once.

    Of values that are equally common the first by code point is listed.
    """
    words = counted.where(F.col("name").isin(*TITLES))
    rank = "row_number() over (partition by name, of order by count desc, value) as rank"
    top = words.selectExpr("*", rank).where(f"rank <= {MAX_SHARES}").orderBy("name", "of", "rank").collect()
    totals = words.groupBy("name", "of").agg(F.sum("count").alias("total"), F.count("*").alias("num_values")).collect()
    order = list(TITLES)
    told = []
    for row in sorted(totals, key=lambda r: (order.index(r["name"]), r["of"])):
        mine = [t for t in top if (t["name"], t["of"]) == (row["name"], row["of"])]
        told.append(
            {
                "name": row["name"],
                "title": TITLES[row["name"]],
                "of": row["of"],
                "total": row["total"],
                "values": [{"value": t["value"][:MAX_VALUE_CHARACTERS], "count": t["count"]} for t in mine],
                "others": row["total"] - sum(t["count"] for t in mine),
                "num_values": row["num_values"],
            }
        )
    return told


class Spread(NamedTuple):
    """What a measure is for people. Scores are counted in thousandths, and their scale is linear."""

    title: str
    unit: str
    scale: str = "log"


SPREADS = {
    "words": Spread("Words of a document", "words"),
    "images": Spread("Images of a document", "images"),
    "width": Spread("Image width", "pixels"),
    "height": Spread("Image height", "pixels"),
    "bytes": Spread("Size of an image", "bytes"),
    "clip_score": Spread("CLIP score", "cosine", "linear"),
    "language_score": Spread("Language score", "probability", "linear"),
    "unsafe": Spread("How unsafe images are", "score", "linear"),
}
_STEPS = (10, 13, 18, 24, 32, 42, 56, 75)  # eight to a decade, about evenly far from each other on a log scale
LOG_EDGES = sorted({0, *(ceil(step * 10**power / 10) for power in range(12) for step in _STEPS)})
LINEAR_EDGES = list(range(-1000, 1041, 20))  # [thousandths]


def spreads(counted: DataFrame) -> list[dict[str, Any]]:
    """Describe each measure of each thing. Args: counted are rows as of TALLY, each value once."""
    numbers: dict[tuple[str, str], dict[int, int]] = {}
    for row in counted.where(F.col("name").isin(*SPREADS)).collect():
        numbers.setdefault((row["name"], row["of"]), {})[int(row["value"])] = row["count"]
    order = list(SPREADS)
    return [spread(name, of, numbers[name, of]) for name, of in sorted(numbers, key=lambda k: (order.index(k[0]), k))]


def spread(name: str, of: str, counts: dict[int, int]) -> dict[str, Any]:
    """Describe one measure of one thing by its values, each as often as counted."""
    meant = SPREADS[name]
    linear = meant.scale == "linear"
    return {
        "name": name,
        **meant._asdict(),
        "of": of,
        "bins": bins(counts, LINEAR_EDGES if linear else LOG_EDGES, 1000 if linear else 1),
        "quantiles": {f"{q:g}": _as_told(v, 1000 if linear else 1) for q, v in quantiles(counts, QUANTILES).items()},
    }


def bins(counts: dict[int, int], edges: list[int], scale: int) -> list[dict[str, Any]]:
    """Count values between edges, from the first bin that has any to the last; beyond the edges, in the outermost."""
    found: Counter[int] = Counter()
    for value, count in counts.items():
        found[min(max(bisect_right(edges, value) - 1, 0), len(edges) - 2)] += count
    return [
        {"from": _as_told(edges[i], scale), "to": _as_told(edges[i + 1], scale), "count": found[i]}
        for i in range(min(found), max(found) + 1)
    ]


def quantiles(counts: dict[int, int], wanted: Iterable[float]) -> dict[float, int]:
    """Return for each fraction the least value that at least so many do not exceed: always one that is there."""
    values = sorted(counts)
    ranks = list(accumulate(counts[value] for value in values))
    return {q: values[bisect_right(ranks, max(ceil(q * ranks[-1]), 1) - 1)] for q in wanted}


def _as_told(value: int, scale: int) -> float:
    return value if scale == 1 else round(value / scale, 3)
