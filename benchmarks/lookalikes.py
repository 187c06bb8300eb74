"""Time the clustering of a million perceptual hashes on two cores: `python -m benchmarks.lookalikes`.

The peer compares each hash with all others in numpy, block by block, on one core: it is run on a sample of the rows,
and its time for all is scaled from that, the work being the same for each row. The clusters of
some of its rows are checked too, against a search that compares every member with all.
"""

import os
import time

import numpy as np

from benchmarks.peak_memory import peak_bytes
from benchmarks.results import report
from benchmarks.worker_memory import watching
from jobs import session
from jobs.near_duplicates import clusters

NUM_HASHES, NUM_CLUSTERS, CLUSTER_SIZE = 1_000_000, 50_000, 6
MAX_DISTANCE = 4
SAMPLE = 1_000  # rows that the peer compares with all
CHECKED = 300  # of these: their clusters are searched by brute force
BITS = 64


def main() -> None:
    """Plant, find and check clusters, print and store the ratio."""
    hashes = planted(np.random.default_rng(0))
    spark = session.start("local[2]")
    frame = spark.createDataFrame([(int(h),) for h in hashes], "hash bigint").repartition(4).persist()
    frame.count()
    with watching(os.getpid()) as peak:
        started = time.monotonic()
        found = clusters(frame, MAX_DISTANCE).toPandas()
        seconds = time.monotonic() - started
    assert spark.sparkContext._jvm is not None
    java_bytes = peak_bytes(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())
    spark.stop()
    rows = np.random.default_rng(1).choice(len(hashes), SAMPLE, replace=False)
    started = time.monotonic()
    neighbours = brute_force(hashes, rows)
    peer_seconds = (time.monotonic() - started) * len(hashes) / SAMPLE
    check(hashes, dict(zip(found["hash"], found["component"], strict=True)), rows, neighbours)
    num_clusters = int((found.groupby("component").size() > 1).sum())
    print(f"{len(hashes):,} hashes, {num_clusters:,} clusters of two or more in {seconds:.1f} s; "
          f"largest worker {peak.num_bytes / 1e6:.0f} MB, Java {java_bytes / 1e6:.0f} MB")  # fmt: skip
    unit = "hashes/s, ours on two cores, the peer scaled from a sample on one"
    report("lookalikes", {"hashes_per_second": (len(hashes) / seconds, len(hashes) / peer_seconds, unit)})


def planted(random: np.random.Generator) -> np.ndarray:
    """Draw hashes (int64, distinct): chains with at most MAX_DISTANCE bits between links, and single hashes."""
    chains = np.zeros((NUM_CLUSTERS, CLUSTER_SIZE), np.uint64)
    chains[:, 0] = random.integers(0, 2**BITS, NUM_CLUSTERS, np.uint64)
    for link in range(1, CLUSTER_SIZE):
        flips = np.uint64(1) << random.integers(0, BITS, (NUM_CLUSTERS, MAX_DISTANCE), np.uint64)
        chains[:, link] = chains[:, link - 1] ^ np.bitwise_xor.reduce(flips, axis=1)
    others = random.integers(0, 2**BITS, NUM_HASHES - chains.size, np.uint64)
    return np.unique(np.concatenate([chains.ravel(), others]).view(np.int64))


def brute_force(hashes: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Return for each of the given rows the hashes close to it, including itself."""
    everyone = hashes.view(np.uint64)
    return [hashes[np.bitwise_count(everyone ^ everyone[row]) <= MAX_DISTANCE] for row in rows]


def check(hashes: np.ndarray, found: dict[int, int], rows: np.ndarray, neighbours: list[np.ndarray]) -> None:
    """Raise AssertionError unless the clusters of the sampled rows equal those of a brute-force search."""
    assert len(found) == len(hashes)
    members: dict[int, set[int]] = {}
    for node, cluster in found.items():
        members.setdefault(cluster, set()).add(node)
    everyone = hashes.view(np.uint64)
    for row, close in zip(rows[:CHECKED], neighbours, strict=False):
        reached, todo = {int(hashes[row])}, [int(h) for h in close]
        while todo:
            node = todo.pop()
            if node not in reached:
                reached.add(node)
                near = np.bitwise_count(everyone ^ np.int64(node).view(np.uint64)) <= MAX_DISTANCE
                todo += [int(h) for h in hashes[near]]
        assert members[found[int(hashes[row])]] == reached
        assert found[int(hashes[row])] == min(reached)


if __name__ == "__main__":
    main()
