"""Pictures to clusters of look-alikes, by their perceptual hashes: the same whatever the number of partitions.

A cluster is joined by pairs, so its ends may differ by more than the distance that joins each two in a row.
"""

from pyspark.sql import DataFrame

from pipeline.duplicates.components import spark_components
from pipeline.duplicates.hamming import BANDED, PAIRS, banded, paired
from pipeline.spark import map_batches

# pHash compares 64 coefficients with their median, so half its bits are one. Where they are not, coefficients tie: a
# plain ground, a gradient, a drawing like its own mirror image. What bits are left says too little to tell such
# pictures apart (white, black and red ones differ in one bit), so they look like nothing else.
TELLING_ONES = 32

_NUMBER = "cast(conv(phash, 16, -10) as bigint)"  # the same 64 bits, signed


def lookalikes(images: DataFrame, max_distance: int) -> DataFrame:
    """Add `hash` and `cluster` to images (`phash`, 16 hex digits).

    `cluster` is the smallest hash of a cluster, and null for plain pictures.

    Two telling hashes have both 32 ones, so they differ in an even number of bits.
    """
    numbered = images.selectExpr("*", f"{_NUMBER} as hash")
    hashes = numbered.where(f"bit_count(hash) = {TELLING_ONES}").select("hash").distinct()
    found = clusters(hashes, max_distance).withColumnRenamed("component", "cluster")
    return numbered.join(found, "hash", "left")


def clusters(hashes: DataFrame, max_distance: int) -> DataFrame:
    """Return `hash` and `component`, the smallest hash that it is joined with, of distinct hashes (int64 `hash`)."""
    if max_distance == 0:
        return hashes.selectExpr("hash", "hash as component")
    candidates = map_batches(hashes, banded(max_distance), BANDED).repartition("band").sortWithinPartitions("band")
    pairs = map_batches(candidates, paired(max_distance), PAIRS)
    joined = spark_components(pairs).withColumnRenamed("node", "hash")
    return hashes.join(joined, "hash", "left").selectExpr("hash", "coalesce(component, hash) as component")
