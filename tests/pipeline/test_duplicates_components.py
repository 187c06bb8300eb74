"""Connected components: what Spark finds is what one task finds, whatever the shape and the partitions."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.near_duplicates import MAX_LOCAL_PAIRS, spark_components
from jobs.near_duplicates import components as of_arrays

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Pairs = list[tuple[int, int]]


def components(pairs: Sequence[tuple]) -> dict:
    nodes, smallest = of_arrays(np.array(pairs or np.empty((0, 2), np.int64)))
    return dict(zip(nodes.tolist(), smallest.tolist(), strict=True))


def shuffled(pairs: Pairs, seed: int) -> Pairs:
    coin = random.Random(seed)
    return coin.sample([pair if coin.random() < 0.5 else pair[::-1] for pair in pairs], len(pairs))


def sparse(seed: int) -> Pairs:
    """Return a random graph of 200 nodes near its percolation threshold."""
    coin = random.Random(seed)
    nodes = [coin.randrange(-(2**63), 2**63) for _ in range(200)]
    return [(coin.choice(nodes), coin.choice(nodes)) for _ in range(100)]


CHAIN = [(n, n + 1) for n in range(150)]
GRAPHS: dict[str, Pairs] = {
    "random": sparse(1),
    "chain": shuffled(CHAIN, 2),
    "chains that meet in their largest": [*((n, n + 1) for n in range(0, 40, 2)), *((n, 41) for n in range(1, 40, 2))],
    "star around the smallest": shuffled([(-(2**63), n) for n in range(200)], 3),
    "star around the largest": shuffled([(2**63 - 1, n) for n in range(200)], 4),
    "twice and both ways": [(1, 2), (2, 1), (1, 2), (3, 4)],
    "two chains and a bridge": shuffled([*CHAIN[:50], *CHAIN[90:140], (25, 115)], 5),
}
LARGE: dict[str, Pairs] = {
    "chain of 10,000": shuffled([(n, n + 1) for n in range(10_000)], 7),
    "star of 100,000": shuffled([(50_000, n) for n in range(100_000)], 8),
    "random, 30,000 pairs": shuffled(
        [(c.randrange(40_000), c.randrange(40_000)) for c in [random.Random(9)] for _ in range(30_000)], 10
    ),
}


def same_on_spark(pairs: Pairs, partitions: int, few: int, spark: "SparkSession") -> None:
    frame = spark.createDataFrame(pd.DataFrame(pairs, columns=["a", "b"])).repartition(partitions)
    found = spark_components(frame, few).toPandas()
    expected = components([pair for pair in pairs if pair[0] != pair[1]])
    assert sorted(zip(found["node"], found["component"], strict=True)) == sorted(expected.items())


@pytest.mark.parametrize("name", GRAPHS)
def test_spark_alone_finds_the_same(name: str, spark: "SparkSession") -> None:
    same_on_spark(GRAPHS[name], 5, 0, spark)


@pytest.mark.parametrize("partitions", [1, 5])
def test_one_task_finds_the_same(partitions: int, spark: "SparkSession") -> None:
    same_on_spark(GRAPHS["random"], partitions, MAX_LOCAL_PAIRS, spark)


def test_one_task_ends_what_rounds_began(spark: "SparkSession") -> None:
    same_on_spark(LARGE["chain of 10,000"], 4, 9_000, spark)


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [1, 4, 16])
@pytest.mark.parametrize("name", LARGE)
def test_large_graphs(name: str, partitions: int, spark: "SparkSession") -> None:
    same_on_spark(LARGE[name], partitions, 0, spark)


def test_an_empty_graph(spark: "SparkSession") -> None:
    assert spark_components(spark.createDataFrame([(7, 7)], "a bigint, b bigint")).collect() == []


def test_shapes_by_hand() -> None:
    assert components([("c", "b"), ("b", "a"), ("x", "y")]) == {"a": "a", "b": "a", "c": "a", "x": "x", "y": "x"}
    assert components(shuffled(CHAIN, 6)) == dict.fromkeys(range(151), 0)
    assert components([(3, 3)]) == {3: 3}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_the_same_as_a_search(pairs: Pairs) -> None:
    neighbours: dict[int, set[int]] = {}
    for a, b in pairs:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found = components(pairs)
    assert found.keys() == neighbours.keys()
    for node in neighbours:
        reached, todo = {node}, [node]
        while todo:
            new = neighbours[todo.pop()] - reached
            reached |= new
            todo += new
        assert found[node] == min(reached)
