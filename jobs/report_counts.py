"""Counts for the report: the values of tables, their shares and histograms."""

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
from pipeline.filter import join_text
from pipeline.inspect.funnel import hosts_of
from pipeline.io.store import Store
from pipeline.shards.stats import QUANTILES
from schemas.tables import Batches

TALLY = pa.schema([("of", pa.string()), ("name", pa.string()), ("value", pa.string()), ("count", pa.int64())])
DIRECTIVES = ("PAGE_OPT_OUT", "OPT_OUT")
_POWERS = 10 ** np.arange(4, 19)

Counted = Iterator[tuple[str, str, pa.Array]]  # what is measured, the name of the measure or share, its values

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
    """Count the values of a file; yields batches of TALLY, in which a value may be repeated."""
    for batch in read(store, source.path, _COLUMNS[source.kind]):
        for of, name, values in _OF[source.kind](batch, source.of):
            counted = pc.value_counts(values.drop_null())
            if len(counted):
                ends = [pa.array([text] * len(counted), pa.string()) for text in (of, name)]
                value = counted.field("values").cast(pa.string())
                yield pa.RecordBatch.from_arrays([*ends, value, counted.field("counts")], schema=TALLY)


def four_digits(values: pa.Array) -> pa.Array:
    """Round non-negative integers down to four significant digits."""
    numbers = values.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
    scale = 10 ** np.searchsorted(_POWERS, numbers, side="right")
    return pa.array(numbers - numbers % scale)


def thousandths(values: pa.Array) -> pa.Array:
    """Round scores, which have five decimals but may come as float32, down to thousandths."""
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
        yield "images", name, four_digits(batch[column])


def _scores(batch: pa.RecordBatch, of: str) -> Counted:
    of_alt = pc.less(batch["block"], 0)
    yield "alt texts", "clip_score", thousandths(batch["score"].filter(of_alt))
    yield "texts of pages", "clip_score", thousandths(batch["score"].filter(pc.invert(of_alt)))


def _safety(batch: pa.RecordBatch, of: str) -> Counted:
    yield "images", "unsafe", thousandths(batch["unsafe"])


def _index(batch: pa.RecordBatch, of: str) -> Counted:
    yield of, "languages", batch["language"]
    yield of, "hosts", batch["host"]
    yield of, "words", four_digits(batch["num_words"])
    yield of, "clip_score", thousandths(batch["scores"].flatten())
    if of == "interleaved":
        yield of, "images", four_digits(pc.list_value_length(batch["widths"]))


def _index_images(batch: pa.RecordBatch, of: str) -> Counted:
    members = batch["members"].flatten()
    is_image = pc.ends_with(members.field("name"), "jpg")
    yield of, "width", four_digits(batch["widths"].flatten())
    yield of, "height", four_digits(batch["heights"].flatten())
    yield of, "bytes", four_digits(members.field("size").filter(is_image))


def _documents(batch: pa.RecordBatch, of: str) -> Counted:
    for corpus in pc.unique(batch["corpus"]).to_pylist():
        mine = batch.filter(pc.equal(batch["corpus"], corpus))
        yield corpus, "languages", mine["language"]
        yield corpus, "hosts", mine["host"]
        yield from _blocks(mine, corpus)


def _blocks(batch: pa.RecordBatch, of: str) -> Counted:
    rows = [blocks or [] for blocks in batch["blocks"].to_pylist()]
    images = [[b for b in blocks if b["kind"] == "image"] for blocks in rows]
    yield of, "words", four_digits(pa.array([len(join_text(blocks).split()) for blocks in rows], pa.int64()))
    if of in ("interleaved", "pages"):
        yield of, "images", four_digits(pa.array([len(blocks) for blocks in images], pa.int64()))
    yield of, "clip_score", thousandths(pa.array([b.get("score") for blocks in images for b in blocks], pa.float64()))


def _texts_of_pages(batch: pa.RecordBatch, of: str) -> Counted:
    yield from _blocks(batch, "pages")


def _rejections(batch: pa.RecordBatch, of: str) -> Counted:
    rows = batch.filter(pc.is_in(batch["rule"], pa.array(DIRECTIVES)))
    for level in pc.unique(rows["level"]).to_pylist():
        yield f"{level}s", "directives", pc.fill_null(rows["detail"].filter(pc.equal(rows["level"], level)), "")


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
MAX_VALUE_CHARACTERS = 200  # of a displayed value
TITLES = {
    "languages": "Languages",
    "hosts": "Hosts",
    "licenses": "Licenses stated by pages",
    "directives": "Opt-outs of pages and servers",
    "image status": "Outcomes of image downloads",
}


def shares(counted: DataFrame) -> list[dict[str, Any]]:
    """Return the most common values of each share. Args: counted are rows of TALLY, each value once.

    Equally common values are sorted by code point.
    """
    values = counted.where(F.col("name").isin(*TITLES))
    rank = "row_number() over (partition by name, of order by count desc, value) as rank"
    top = values.selectExpr("*", rank).where(f"rank <= {MAX_SHARES}").orderBy("name", "of", "rank").collect()
    totals = values.groupBy("name", "of").agg(F.sum("count").alias("total"), F.count("*").alias("num_values")).collect()
    order = list(TITLES)
    found = []
    for row in sorted(totals, key=lambda r: (order.index(r["name"]), r["of"])):
        mine = [t for t in top if (t["name"], t["of"]) == (row["name"], row["of"])]
        found.append(
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
    return found


class Distribution(NamedTuple):
    """How to display a measure. Scores are counted in thousandths and have a linear scale."""

    title: str
    unit: str
    scale: str = "log"


DISTRIBUTIONS = {
    "words": Distribution("Words per document", "words"),
    "images": Distribution("Images per document", "images"),
    "width": Distribution("Image width", "pixels"),
    "height": Distribution("Image height", "pixels"),
    "bytes": Distribution("Image size", "bytes"),
    "clip_score": Distribution("CLIP score", "cosine", "linear"),
    "language_score": Distribution("Language score", "probability", "linear"),
    "unsafe": Distribution("Unsafe score of images", "score", "linear"),
}
_STEPS = (10, 13, 18, 24, 32, 42, 56, 75)  # eight per decade, about equally spaced on a log scale
LOG_EDGES = sorted({0, *(ceil(step * 10**power / 10) for power in range(12) for step in _STEPS)})
LINEAR_EDGES = list(range(-1000, 1041, 20))  # [thousandths]


def distributions(counted: DataFrame) -> list[dict[str, Any]]:
    """Return the distribution of each measure. Args: counted are rows of TALLY, each value once."""
    numbers: dict[tuple[str, str], dict[int, int]] = {}
    for row in counted.where(F.col("name").isin(*DISTRIBUTIONS)).collect():
        numbers.setdefault((row["name"], row["of"]), {})[int(row["value"])] = row["count"]
    order = list(DISTRIBUTIONS)
    keys = sorted(numbers, key=lambda k: (order.index(k[0]), k))
    return [distribution(name, of, numbers[name, of]) for name, of in keys]


def distribution(name: str, of: str, counts: dict[int, int]) -> dict[str, Any]:
    """Return the distribution of one measure, given the count of each value."""
    display = DISTRIBUTIONS[name]
    linear = display.scale == "linear"
    return {
        "name": name,
        **display._asdict(),
        "of": of,
        "bins": bins(counts, LINEAR_EDGES if linear else LOG_EDGES, 1000 if linear else 1),
        "quantiles": {f"{q:g}": _scaled(v, 1000 if linear else 1) for q, v in quantiles(counts, QUANTILES).items()},
    }


def bins(counts: dict[int, int], edges: list[int], scale: int) -> list[dict[str, Any]]:
    """Count values by bin, from the first to the last non-empty bin; outliers count in the outermost bins."""
    found: Counter[int] = Counter()
    for value, count in counts.items():
        found[min(max(bisect_right(edges, value) - 1, 0), len(edges) - 2)] += count
    return [
        {"from": _scaled(edges[i], scale), "to": _scaled(edges[i + 1], scale), "count": found[i]}
        for i in range(min(found), max(found) + 1)
    ]


def quantiles(counts: dict[int, int], fractions: Iterable[float]) -> dict[float, int]:
    """Return the quantile of each fraction: the smallest of the values that at least this fraction does not exceed."""
    values = sorted(counts)
    ranks = list(accumulate(counts[value] for value in values))
    return {q: values[bisect_right(ranks, max(ceil(q * ranks[-1]), 1) - 1)] for q in fractions}


def _scaled(value: int, scale: int) -> float:
    return value if scale == 1 else round(value / scale, 3)
