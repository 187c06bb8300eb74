"""Counted numbers to histograms of fixed bins, and to quantiles."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from math import ceil
from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline.stats import QUANTILES


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
