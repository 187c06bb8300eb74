"""Connected components: every node gets the smallest node that it is joined with, directly or through others."""

from collections.abc import Iterable
from typing import TypeVar

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

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


def spark_components(pairs: DataFrame) -> DataFrame:
    """Return the same for columns a and b, as columns node and component; a node that is paired with itself alone goes.

    Each round tells the larger neighbours of every node the smallest that it knows ("large-star"), then the smaller
    ones ("small-star"), until every component is a star around its smallest node: few rounds, whatever the shape (the
    square of log n at most is proven).
    Source: Kiveris et al., "Connected Components in MapReduce and Beyond", SoCC 2014.
    """
    edges = pairs.selectExpr("greatest(a, b) as high", "least(a, b) as low").where("high != low").distinct()
    edges = edges.localCheckpoint()
    while not _all_stars(edges):
        edges = _small_star(_large_star(edges)).localCheckpoint()
    centres = edges.selectExpr("low as node", "low as component").distinct()
    return edges.selectExpr("high as node", "low as component").union(centres)


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
