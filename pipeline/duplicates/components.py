"""Connected components: every node gets the smallest node that it is joined with, directly or through others."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline.spark import arrow_schema, map_batches

FEW = 1_000_000  # pairs that one task joins sooner than Spark a round: some 100 MB

Batches = Iterator[pa.RecordBatch]
Node = TypeVar("Node", int, str)


def components(pairs: Iterable[tuple[Node, Node]]) -> dict[Node, Node]:
    """Return the smallest node of each node's component, by a union-find with halved paths."""
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return {node: root(node) for node in list(parent)}


def spark_components(pairs: DataFrame, few: int = FEW) -> DataFrame:
    """Return the same for columns a and b, as columns node and component; a node that is paired with itself alone goes.

    Each round tells the larger neighbours of every node the smallest that it knows ("large-star"), then the smaller
    ones ("small-star"), until every component is a star around its smallest node: few rounds, whatever the shape (the
    square of log n at most is proven). When few pairs are left, a union-find in one task finds the same sooner.
    Source: Kiveris et al., "Connected Components in MapReduce and Beyond", SoCC 2014.
    """
    edges = pairs.selectExpr("greatest(a, b) as high", "least(a, b) as low").where("high != low").distinct()
    edges = edges.localCheckpoint()
    while edges.count() > few:
        if _all_stars(edges):
            centres = edges.selectExpr("low as node", "low as component").distinct()
            return edges.selectExpr("high as node", "low as component").union(centres)
        edges = _small_star(_large_star(edges)).localCheckpoint()
    found = arrow_schema(edges.selectExpr("high as node", "low as component"))
    return map_batches(edges.coalesce(1), _joined(found), found)


def _joined(schema: pa.Schema) -> Callable[[Batches], Batches]:
    def run(batches: Batches) -> Batches:
        pairs = (pair for batch in batches for pair in zip(*(side.to_pylist() for side in batch.columns), strict=True))
        found = components(pairs)
        yield pa.RecordBatch.from_arrays([list(found), list(found.values())], schema=schema)

    return run


def _large_star(edges: DataFrame) -> DataFrame:
    """Connect all larger neighbours of each node with the smallest of its neighbours and itself."""
    both = edges.union(edges.select("low", "high")).toDF("node", "neighbour")
    least = both.groupBy("node").agg(F.min(F.least("node", "neighbour")).alias("least"))
    larger = both.where("neighbour > node").join(least, "node")
    return larger.selectExpr("neighbour as high", "least as low").distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Connect all smaller neighbours of each node, and the node itself, with the smallest of them."""
    least = edges.groupBy("high").agg(F.min("low").alias("least"))
    smaller = edges.join(least, "high").where("low != least").selectExpr("low as high", "least as low")
    return smaller.union(least.selectExpr("high", "least as low")).distinct()


def _all_stars(edges: DataFrame) -> bool:
    """Tell whether no node has two smaller neighbours, and none both a smaller and a larger one."""
    if not edges.groupBy("high").count().where("count > 1").isEmpty():
        return False
    return edges.join(edges.selectExpr("low as high").distinct(), "high", "left_semi").isEmpty()
