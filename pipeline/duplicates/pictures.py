"""Which pictures go: those that stand on too many pages, and of equal bytes and of look-alikes all but one.

Where the recipe keeps one of a cluster on each page, or all, look-alikes are told here and stay; pipeline/assemble.py
takes the further ones out of a page.

The bounds of uses come first, so that whom the ledger names as a survivor has met them. The survivor of equal bytes
may fall to a larger look-alike, though: who follows the names comes to a stored image in two steps.
"""

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline.duplicates.lookalikes import lookalikes
from pipeline.duplicates.survivors import split
from schemas.recipe.dedup import Dedup

_OF_IMAGES = ("image_id", "image_url", "sha256", "phash", "original_width", "original_height")
# The largest is likeliest what the others were made from. The id depends on the address alone: the same in every run.
_LARGEST = ("cast(original_width as bigint) * original_height desc", "image_id")


def clustered(images: DataFrame, config: Dedup) -> DataFrame:
    """Return what is needed of images whose status is ok, with the cluster of look-alikes that each belongs to."""
    images = images.select(*_OF_IMAGES)
    if config.image_distance is None:
        return images.selectExpr("*", "cast(null as bigint) as hash", "cast(null as bigint) as cluster")
    return lookalikes(images, config.image_distance)


def told_clusters(images: DataFrame) -> DataFrame:
    """Return rows of `lookalikes`: clustered images whose cluster holds two or more."""
    named = images.where("cluster is not null").selectExpr("image_id", "lower(hex(cluster)) as cluster")
    several = named.groupBy("cluster").count().where("count > 1").select("cluster")
    return named.join(several, "cluster")


def surplus_pictures(images: DataFrame, uses: DataFrame, config: Dedup) -> DataFrame | None:
    """Return the pictures that go, each once, with `rule`, `measure`, `threshold` and `detail`; None if none may.

    Args: images are clustered; uses are distinct pairs of `image_id` and `page_id`.
    """
    gone = []
    if config.max_image_uses is not None or config.max_lookalike_uses is not None:
        overused = _overused(images, uses, config).persist()
        gone.append(overused)
        images = images.join(overused, "image_id", "left_anti")
    if config.image:
        images, equal = split(images, "sha256", ("image_id",), "image_id")
        gone.append(_told(equal, "DUPLICATE_IMAGE", "null", "null", "survivor"))
    if config.image_distance is not None and config.keep_lookalikes == "one":
        alike = split(images.where("cluster is not null"), "cluster", _LARGEST, "struct(image_id, hash)")[1]
        bits = "bit_count(hash ^ survivor.hash)"
        gone.append(_told(alike, "LOOKALIKE_IMAGE", bits, str(config.image_distance), "survivor.image_id"))
    return reduce(DataFrame.unionByName, gone) if gone else None


def _overused(images: DataFrame, uses: DataFrame, config: Dedup) -> DataFrame:
    """Find what stands on too many pages: by its own address, or else its cluster, which the largest image names.

    A page that uses several of a cluster counts once.
    """
    of_address = uses.groupBy("image_id").agg(F.count("*").alias("uses"))
    alike = images.where("cluster is not null")
    of_cluster = alike.join(uses, "image_id").groupBy("cluster").agg(F.countDistinct("page_id").alias("together"))
    names = split(alike, "cluster", _LARGEST, "image_id")[0].selectExpr("cluster", "image_id as name")
    counted = images.join(of_address, "image_id", "left").join(of_cluster.join(names, "cluster"), "cluster", "left")
    most, most_together = (
        "cast(null as bigint)" if most is None else str(most)
        for most in (config.max_image_uses, config.max_lookalike_uses)
    )
    alone = counted.where(f"uses > {most}")
    together = counted.where(f"together > {most_together} and not coalesce(uses > {most}, false)")
    return _told(alone, "OVERUSED_IMAGE", "uses", most, "null").unionByName(
        _told(together, "OVERUSED_IMAGE", "together", most_together, "name")
    )


def _told(images: DataFrame, rule: str, measure: str, threshold: str, detail: str) -> DataFrame:
    return images.selectExpr(
        "image_id",
        "image_url as url",
        f"'{rule}' as rule",
        f"cast({measure} as double) as measure",
        f"cast({threshold} as double) as threshold",
        f"cast({detail} as string) as detail",
    )
