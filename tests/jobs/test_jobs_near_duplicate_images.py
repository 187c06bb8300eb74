"""Near-duplicate images in dedup: which one is kept, and the rejections of the others, for any partitioning."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fetching import rows
from handmade import commit, picture, row
from pydantic import ValidationError

from jobs import dedup
from jobs.recipes import load
from jobs.run import run
from pipeline.io.store import Store
from schemas.recipe import Dedup
from schemas.tables import CAPTIONS, IMAGES, PAGES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HASH = 0xACA29C1C33DC23D7  # of a photo: half of its bits are one, as in each of the following but the plain ones
OTHER = HASH ^ 0xFFFFFFFF00000000 ^ 0xFFFFFFFF  # its opposite
FAR = 0xB093C368C327CE6E


def near(number: int, *swaps: int) -> int:
    """Return a hash that differs in two bits for each swap, with the same number of ones."""
    ones = [bit for bit in range(64) if number >> bit & 1]
    zeros = [bit for bit in range(64) if not number >> bit & 1]
    for swap in swaps:
        number ^= (1 << ones[swap]) | (1 << zeros[swap])
    return number


# image: hash, bytes, width, pages that it stands on
WORLD: dict[str, tuple[int, str, int, tuple[int, ...]]] = {
    "chain-a": (HASH, "1", 300, (0,)),
    "chain-b": (near(HASH, 5), "2", 200, (0,)),
    "chain-c": (near(HASH, 5, 9, 30), "3", 400, (1,)),  # 6 bits from the first, 4 from the second
    "beside": (near(HASH, 1, 12, 20), "4", 900, (1,)),  # 6 bits from the nearest
    "equal-a": (FAR, "5", 100, (2,)),
    "equal-b": (FAR, "5", 100, (2,)),
    "equal-large": (near(FAR, 3), "6", 101, (2,)),
    "equal-large-too": (near(FAR, 4), "7", 101, (3,)),
    "plain-white": (1 << 63, "8", 300, (3,)),
    "plain-black": (0, "9", 300, (3,)),
    "plain-red": (1 << 63, "10", 300, (3,)),
    "often": (near(FAR, 8, 9, 10, 11), "11", 300, (0, 1, 2, 3)),
    "together-a": (OTHER, "12", 300, (0, 1, 2)),
    "together-b": (near(OTHER, 2), "13", 301, (2, 3, 4)),
}
LOOKALIKE, OVERUSED = "NEAR_DUPLICATE_IMAGE", "OVERUSED_IMAGE"
LEDGER = {
    "chain-a": (LOOKALIKE, 6, 4, "chain-c"),
    "chain-b": (LOOKALIKE, 4, 4, "chain-c"),
    "equal-b": ("DUPLICATE_IMAGE", None, None, "equal-a"),
    "equal-a": (LOOKALIKE, 2, 4, "equal-large"),
    "equal-large-too": (LOOKALIKE, 4, 4, "equal-large"),
    "often": (OVERUSED, 4, 3, None),
    "together-a": (OVERUSED, 5, 4, "together-b"),
    "together-b": (OVERUSED, 5, 4, "together-b"),
}
CLUSTERS = [
    {"chain-a", "chain-b", "chain-c"},
    {"equal-a", "equal-b", "equal-large", "equal-large-too"},
    {"together-a", "together-b"},
]


def image(name: str) -> dict[str, Any]:
    phash, data, width, _ = WORLD[name]
    known = {"image_url": f"http://x/{name}", "status": "ok", "phash": f"{phash:016x}", "sha256": data}
    return row(IMAGES, image_id=name, **known, original_width=width, original_height=100)


def caption(name: str, page: str) -> dict[str, Any]:
    return row(CAPTIONS, image_id=name, image_url=f"http://x/{name}", caption="words", page_id=page)


def before_dedup(output: Path, num_parts: int) -> None:
    """Write the output of the steps before: page 4 is in `pages`, twice; the others have only captions."""
    store = Store(str(output))
    captions = [caption(name, str(page)) for name, (*_, pages) in WORLD.items() for page in pages]
    captions.append(caption("often", "old"))
    older = row(PAGES, page_id="old", captured_at="2020", blocks=[picture("http://x/none")])
    pages = [older, {**older, "page_id": "4", "captured_at": "2021", "warc_offset": 9}]
    commit(store, "pages", "extract", {PAGES: pages, CAPTIONS: captions}, 1)
    commit(store, "measures", "filter")
    commit(store, "images", "fetch", {IMAGES: [image(name) for name in sorted(WORLD)]}, num_parts)


def ledger(output: Path, *assignments: str) -> dict[str, tuple[Any, ...]]:
    run((dedup.STEP,), load("everything", [f"dedup.{a}" for a in assignments]), str(output))
    found = [row for row in rows(output, "rejections/dedup") if row["level"] == "image"]
    told = {row["image_id"]: (row["rule"], row["measure"], row["threshold"], row["detail"]) for row in found}
    assert len(told) == len(found)
    assert all(row["url"] == f"http://x/{row['image_id']}" for row in found)
    return told


def clusters(output: Path) -> list[set[str]]:
    found: dict[str, set[str]] = {}
    for told in rows(output, "near_duplicate_images"):
        found.setdefault(told["cluster"], set()).add(told["image_id"])
    names = {f"{WORLD[name][0]:016x}" for members in found.values() for name in members}
    assert found.keys() <= names, "a cluster is called by the hash of one of its own"
    return sorted(found.values(), key=min)


@pytest.mark.parametrize("partitions", [1, 7])
def test_the_largest_of_a_cluster_is_kept(partitions: int, tmp_path: Path, spark: "SparkSession") -> None:
    before_dedup(tmp_path, partitions)
    usual = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    try:
        bounds = ("phash_distance=4", "max_image_uses=3", "max_near_duplicate_uses=4")
        assert ledger(tmp_path, "image=true", "url=true", *bounds) == LEDGER
        assert clusters(tmp_path) == CLUSTERS
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(usual))


def test_each_threshold_alone(tmp_path: Path, spark: "SparkSession") -> None:
    before_dedup(tmp_path / "a", 2)
    before_dedup(tmp_path / "b", 2)
    assert ledger(tmp_path / "a", "max_image_uses=4") == {"often": (OVERUSED, 5, 4, None)}  # the older capture counts
    assert ledger(tmp_path / "b", "phash_distance=0") == {"equal-b": (LOOKALIKE, 0, 0, "equal-a")}
    assert clusters(tmp_path / "b") == [{"equal-a", "equal-b"}]


def test_near_duplicates_may_be_kept_and_counted(tmp_path: Path, spark: "SparkSession") -> None:
    before_dedup(tmp_path, 2)
    bounds = ("phash_distance=4", "keep_near_duplicate_images=one_a_page", "max_near_duplicate_uses=4")
    together = {name: told for name, told in LEDGER.items() if name.startswith("together")}
    assert ledger(tmp_path, *bounds) == {**together, "often": (OVERUSED, 5, 4, "often")}
    assert clusters(tmp_path) == CLUSTERS


def test_a_bound_on_lookalikes_needs_to_know_them() -> None:
    with pytest.raises(ValidationError, match=r"needs dedup\.phash_distance"):
        Dedup(max_near_duplicate_uses=10)
