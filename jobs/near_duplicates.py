"""Near-duplicate pages and images: find candidates by a cheap key, verify them, and join them into clusters."""

from collections.abc import Callable
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.step import arrow_schema, map_batches
from pipeline.dedup.hashing import (
    BANDED,
    PAIRS,
    banded,
    bands,
    full_keys,
    paired,
    shingles,
    signatures,
    similarity,
    sketches,
)
from schemas.recipe import Dedup, MinHash
from schemas.tables import Batches

TEXT = "array_join(transform(filter(blocks, b -> b.kind = 'text'), b -> b.text), '\n\n')"
_ADDRESSES = "array_sort(array_distinct(transform(filter(blocks, b -> b.kind = 'image'), b -> b.image_url)))"

SAME_TEXT = f"if({TEXT} = '', page_id, sha2({TEXT}, 256))"
# Compares pages by their set of image addresses, as OBELICS (arXiv 2306.16527). Addresses contain no line breaks.
SAME_IMAGES = f"if(size({_ADDRESSES}) = 0, page_id, sha2(array_join({_ADDRESSES}, '\n'), 256))"


def keep_first(frame: DataFrame, column: str, order: tuple[str, ...], name: str) -> tuple[DataFrame, DataFrame]:
    """Split rows into the first row of each value of a column, and the others with a column `survivor`.

    Args: order and name are SQL; `survivor` is `name` evaluated on the first row.
    """
    window = f"over (partition by {column} order by {', '.join(order)})"
    ranked = frame.selectExpr("*", f"row_number() {window} as rank", f"first({name}) {window} as survivor").persist()
    return ranked.where("rank = 1").drop("rank", "survivor"), ranked.where("rank > 1")


MAX_LOCAL_PAIRS = 1_000_000  # about 100 MB, which one task joins faster than Spark does one round


def components(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct nodes of pairs (n, 2), sorted, and for each the smallest node of its component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes, index = np.unique(pairs, return_inverse=True)
    edges = index.reshape(-1, 2).T
    graph = coo_array((np.ones(edges.shape[1], bool), tuple(edges)), shape=(nodes.size, nodes.size))
    _, labels = connected_components(graph, directed=False)
    _, smallest = np.unique(labels, return_index=True)
    return nodes, nodes[smallest[labels]]


def spark_components(pairs: DataFrame, max_local: int = MAX_LOCAL_PAIRS) -> DataFrame:
    """Return the components of pairs (columns a, b) as columns node and component, without nodes paired only with self.

    Alternates the large-star and small-star operations of Kiveris et al., "Connected Components in MapReduce and
    Beyond", SoCC 2014, until every component is a star around its smallest node: O(log^2 n) rounds. Once at most
    max_local pairs are left, one task finishes faster.
    """
    edges = pairs.selectExpr("greatest(a, b) as high", "least(a, b) as low").where("high != low").distinct()
    edges = edges.localCheckpoint()
    while edges.count() > max_local:
        if _all_stars(edges):
            centres = edges.selectExpr("low as node", "low as component").distinct()
            return edges.selectExpr("high as node", "low as component").union(centres)
        edges = _small_star(_large_star(edges)).localCheckpoint()
    found = arrow_schema(edges.selectExpr("high as node", "low as component"))
    return map_batches(edges.coalesce(1), _local_components(found), found)


def _local_components(schema: pa.Schema) -> Callable[[Batches], Batches]:
    def run(batches: Batches) -> Batches:
        pairs = [np.stack(batch.columns, axis=1) for batch in batches]
        found = components(np.concatenate([np.empty((0, 2), np.int64), *pairs]))
        yield pa.RecordBatch.from_arrays(list(found), schema=schema)

    return run


def _large_star(edges: DataFrame) -> DataFrame:
    """Connect the larger neighbours of each node to the smallest of its neighbours and itself."""
    both = edges.union(edges.select("low", "high")).toDF("node", "neighbour")
    least = both.groupBy("node").agg(F.min(F.least("node", "neighbour")).alias("least"))
    larger = both.where("neighbour > node").join(least, "node")
    return larger.selectExpr("neighbour as high", "least as low").distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Connect each node and its smaller neighbours to the smallest of them."""
    least = edges.groupBy("high").agg(F.min("low").alias("least"))
    smaller = edges.join(least, "high").where("low != least").selectExpr("low as high", "least as low")
    return smaller.union(least.selectExpr("high", "least as low")).distinct()


def _all_stars(edges: DataFrame) -> bool:
    """Return whether no node has two smaller neighbours, or both a smaller and a larger one."""
    if not edges.groupBy("high").count().where("count > 1").isEmpty():
        return False
    return edges.join(edges.selectExpr("low as high").distinct(), "high", "left_semi").isEmpty()


# pHash compares 64 coefficients with their median, so half of its bits are one, unless coefficients tie: in images of
# one colour, gradients and symmetric drawings. The remaining bits cannot distinguish such images (white, black and red
# ones differ in one bit), so they are compared with nothing.
INFORMATIVE_ONES = 32

_NUMBER = "cast(conv(phash, 16, -10) as bigint)"  # the same 64 bits, signed


def near_duplicate_images(images: DataFrame, max_distance: int) -> DataFrame:
    """Add `hash` and `cluster` to images (`phash`, 16 hex digits).

    `cluster` is the smallest hash of the cluster, null for uninformative hashes. Informative hashes have 32 ones each,
    so their distances are even.
    """
    numbered = images.selectExpr("*", f"{_NUMBER} as hash")
    hashes = numbered.where(f"bit_count(hash) = {INFORMATIVE_ONES}").select("hash").distinct()
    found = clusters(hashes, max_distance).withColumnRenamed("component", "cluster")
    return numbered.join(found, "hash", "left")


def clusters(hashes: DataFrame, max_distance: int) -> DataFrame:
    """Return `hash` and `component`, the smallest hash of its cluster, for distinct hashes (int64 `hash`)."""
    if max_distance == 0:
        return hashes.selectExpr("hash", "hash as component")
    candidates = map_batches(hashes, banded(max_distance), BANDED).repartition("band").sortWithinPartitions("band")
    pairs = map_batches(candidates, paired(max_distance), PAIRS)
    joined = spark_components(pairs).withColumnRenamed("node", "hash")
    return hashes.join(joined, "hash", "left").selectExpr("hash", "coalesce(component, hash) as component")


SIGNED = (
    pa.field("characters", pa.int64()),
    pa.field("node", pa.int64()),
    pa.field("bands", pa.list_(pa.int64())),
    pa.field("sketch", pa.binary()),
)
# Keep the newest page, of equally new ones the longest; the id makes the order the same in every run.
_ORDER = ("captured_at desc", "characters desc", "page_id")


def with_signatures(pages: DataFrame, config: MinHash) -> DataFrame:
    """Replace `text` (not null) by SIGNED, a few hundred bytes each; texts without words are left out."""
    rest = [column for column in pages.columns if column != "text"]
    return map_batches(pages, signer(config), pa.schema([*arrow_schema(pages.select(rest)), *SIGNED]))


def near_duplicate_texts(signed: DataFrame, config: MinHash) -> DataFrame:
    """Return the pages to drop, each once, with `rule`, `measure`, `threshold` and `detail` instead of SIGNED.

    Args: signed have distinct `page_id`, `captured_at`, SIGNED, and further columns to return.
    `measure` is the Jaccard similarity with the kept page, estimated from the signatures; `detail` is the kept page.
    """
    columns = [column for column in signed.columns if column not in {field.name for field in SIGNED}]
    signed = signed.persist()
    clusters = signed.join(text_clusters(signed), "node", "left").selectExpr(
        "*", "coalesce(component, node) as cluster"
    )
    _, others = keep_first(clusters, "cluster", _ORDER, "struct(page_id, sketch)")
    compared = others.selectExpr(*columns, "sketch", "survivor.sketch as other", "survivor.page_id as detail")
    schema = pa.schema([*arrow_schema(compared.drop("sketch", "other")), pa.field("measure", pa.float64())])
    return (
        map_batches(compared, _measured, schema)
        .where(f"measure >= {config.min_similarity}")
        .selectExpr("*", "'NEAR_DUPLICATE_TEXT' as rule", f"cast({config.min_similarity} as double) as threshold")
    )


def text_clusters(signed: DataFrame) -> DataFrame:
    """Return `node` and `component`, the smallest node of its cluster, without clusters of one node."""
    members = signed.select("node", "bands").dropDuplicates(["node"]).selectExpr("node", "explode(bands) as band")
    links = members.selectExpr("node as a", "min(node) over (partition by band) as b")
    return spark_components(links.where("a != b"))


def signer(config: MinHash) -> Callable[[Batches], Batches]:
    """Return the function that replaces `text` by SIGNED; rows whose text has no words are left out."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            hashes, counts = shingles(batch["text"].to_pylist(), config.ngram_words)
            found = signatures(hashes, counts[counts > 0], config.bands * config.rows)
            keys = bands(found, config.bands)
            kept = batch.filter(pa.array(counts > 0))
            columns = (
                pc.utf8_length(kept["text"]).cast(pa.int64()),
                pa.array(full_keys(found)),
                pa.ListArray.from_arrays(np.arange(0, keys.size + 1, config.bands, dtype=np.int32), keys.ravel()),
                pa.array([row.tobytes() for row in sketches(found)], pa.binary()),
            )
            for field, column in zip(SIGNED, columns, strict=True):
                kept = kept.append_column(field, column)
            yield kept.drop_columns("text")

    return run


def _measured(batches: Batches) -> Batches:
    for batch in batches:
        mine, others = (
            np.frombuffer(b"".join(batch[side].to_pylist()), np.uint8).reshape(len(batch), -1)
            for side in ("sketch", "other")
        )
        yield batch.drop_columns(["sketch", "other"]).append_column("measure", pa.array(similarity(mine, others)))


_OF_IMAGES = ("image_id", "image_url", "sha256", "phash", "original_width", "original_height")
# Keep the largest image, from which the others were probably made; the id makes the order the same in every run.
_LARGEST = ("cast(original_width as bigint) * original_height desc", "image_id")


def clustered(images: DataFrame, config: Dedup) -> DataFrame:
    """Select the columns needed of stored images, and add the cluster of near-duplicates of each."""
    images = images.select(*_OF_IMAGES)
    if config.phash_distance is None:
        return images.selectExpr("*", "cast(null as bigint) as hash", "cast(null as bigint) as cluster")
    return near_duplicate_images(images, config.phash_distance)


def cluster_rows(images: DataFrame) -> DataFrame:
    """Return rows of `near_duplicate_images`: the images of clusters of two or more."""
    named = images.where("cluster is not null").selectExpr("image_id", "lower(hex(cluster)) as cluster")
    several = named.groupBy("cluster").count().where("count > 1").select("cluster")
    return named.join(several, "cluster")


def images_to_drop(images: DataFrame, uses: DataFrame, config: Dedup) -> DataFrame | None:
    """Return the images to drop, each once, with `rule`, `measure`, `threshold` and `detail`; None without rules.

    Args: images are clustered; uses are distinct pairs of `image_id` and `page_id`.
    """
    dropped = []
    if config.max_image_uses is not None or config.max_near_duplicate_uses is not None:
        overused = _overused(images, uses, config).persist()
        dropped.append(overused)
        images = images.join(overused, "image_id", "left_anti")
    if config.image:
        images, equal = keep_first(images, "sha256", ("image_id",), "image_id")
        dropped.append(_rejected(equal, "DUPLICATE_IMAGE", "null", "null", "survivor"))
    if config.phash_distance is not None and config.keep_near_duplicate_images == "one":
        alike = keep_first(images.where("cluster is not null"), "cluster", _LARGEST, "struct(image_id, hash)")[1]
        bits = "bit_count(hash ^ survivor.hash)"
        dropped.append(_rejected(alike, "NEAR_DUPLICATE_IMAGE", bits, str(config.phash_distance), "survivor.image_id"))
    return reduce(DataFrame.unionByName, dropped) if dropped else None


def _overused(images: DataFrame, uses: DataFrame, config: Dedup) -> DataFrame:
    """Find images on too many pages: by their own address, or by their cluster, named after its largest image.

    A page that uses several images of a cluster counts once.
    """
    by_address = uses.groupBy("image_id").agg(F.count("*").alias("uses"))
    alike = images.where("cluster is not null")
    by_cluster = alike.join(uses, "image_id").groupBy("cluster").agg(F.countDistinct("page_id").alias("cluster_uses"))
    names = keep_first(alike, "cluster", _LARGEST, "image_id")[0].selectExpr("cluster", "image_id as name")
    counted = images.join(by_address, "image_id", "left").join(by_cluster.join(names, "cluster"), "cluster", "left")
    most, most_of_cluster = (
        "cast(null as bigint)" if most is None else str(most)
        for most in (config.max_image_uses, config.max_near_duplicate_uses)
    )
    alone = counted.where(f"uses > {most}")
    together = counted.where(f"cluster_uses > {most_of_cluster} and not coalesce(uses > {most}, false)")
    return _rejected(alone, "OVERUSED_IMAGE", "uses", most, "null").unionByName(
        _rejected(together, "OVERUSED_IMAGE", "cluster_uses", most_of_cluster, "name")
    )


def _rejected(images: DataFrame, rule: str, measure: str, threshold: str, detail: str) -> DataFrame:
    return images.selectExpr(
        "image_id",
        "image_url as url",
        f"'{rule}' as rule",
        f"cast({measure} as double) as measure",
        f"cast({threshold} as double) as threshold",
        f"cast({detail} as string) as detail",
    )
