"""Evaluation images: found by perceptual hash, plain ones by their bytes."""

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from handmade import row
from PIL import Image, ImageDraw

from jobs.decontaminate import EvaluationImages, contaminated_images, read_images
from jobs.step import spark_schema
from pipeline.images.decode import decode
from schemas.errors import PathError
from schemas.recipe import Decode, Decontaminate
from schemas.tables import IMAGES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

WHITE = Image.new("RGB", (80, 60), "white")


def scene(seed: int) -> Image.Image:
    """Return patches of colour: as much detail as a photo has, to a perceptual hash."""
    patches = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(patches).resize((240, 180), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, kind: str = "PNG", **settings: int) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **settings)
    return data.getvalue()


def marked() -> Image.Image:
    picture = scene(1)
    ImageDraw.Draw(picture).rectangle((0, 0, 239, 90), "black")
    return picture


FETCHED = {
    "same": encoded(scene(1)),
    "smaller": encoded(scene(1).resize((120, 90)), "JPEG", quality=40),
    "half-covered": encoded(marked()),
    "another": encoded(scene(3)),
    "white": encoded(WHITE),
    "white-jpeg": encoded(WHITE, "JPEG"),
}


def fetched(partitions: int, spark: "SparkSession") -> "DataFrame":
    rows = [row(IMAGES, **{**decode(data, Decode()), "image_id": name, "image_url": f"http://x/{name}"})
            for name, data in FETCHED.items()]  # fmt: skip
    return spark.createDataFrame([tuple(r.values()) for r in rows], spark_schema(IMAGES.schema)).repartition(partitions)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "val").mkdir()
    (tmp_path / "val/a.png").write_bytes(encoded(scene(1)))
    (tmp_path / "val/b.JPG").write_bytes(encoded(scene(2), "JPEG"))
    (tmp_path / "white.png").write_bytes(encoded(WHITE))
    (tmp_path / "labels.csv").write_text("a.png,1")
    return tmp_path


@pytest.mark.parametrize("partitions", [1, 7])
def test_lookalikes_of_evaluation_images_go(partitions: int, folder: Path, spark: "SparkSession") -> None:
    pictures = read_images(spark, [f"{folder}/"], Decode())
    assert pictures.names == [f"{folder}/val/a.png", f"{folder}/val/b.JPG"]
    assert pictures.sha256[hashlib.sha256(FETCHED["white"]).hexdigest()] == f"{folder}/white.png"
    found = contaminated_images(fetched(partitions, spark), pictures, Decontaminate(max_image_distance=4))
    rows = {r["image_id"]: (r["url"], r["rule"], r["threshold"], r["detail"]) for r in found.collect()}
    why = ("CONTAMINATED_IMAGE", 4)
    assert rows == {
        "same": ("http://x/same", *why, f"{folder}/val/a.png"),
        "smaller": ("http://x/smaller", *why, f"{folder}/val/a.png"),
        "white": ("http://x/white", *why, f"{folder}/white.png"),
    }
    assert {r["image_id"]: r["measure"] for r in found.collect()}["same"] == 0


def test_the_distance_is_exact(spark: "SparkSession") -> None:
    base = 0xACA29C1C33DC23D7  # 32 bits are one
    hashes = [base, base ^ 0b1001, base ^ 0b101011, base ^ 0b1]  # the last is plain
    telling = [h for h in hashes if h.bit_count() == 32]
    pictures = EvaluationImages(np.array([base], np.uint64), ["e"], {})
    places, distances = pictures.nearest(np.array(hashes, np.uint64))
    assert distances.tolist() == [(h ^ base).bit_count() if h in telling else 64 for h in hashes]
    assert places.tolist() == [0, 0, 0, 0]
    far = hashes[2]  # 4 bits; the next but two more
    rows = [row(IMAGES, image_id=f"{h:x}", image_url="u", status="ok", sha256="s", phash=f"{h:016x}")
            for h in (far, far ^ (0b11 << 62), base)]  # fmt: skip
    images = spark.createDataFrame([tuple(r.values()) for r in rows], spark_schema(IMAGES.schema))
    found = contaminated_images(images, pictures, Decontaminate(max_image_distance=4)).collect()
    assert {r["image_id"]: r["measure"] for r in found} == {f"{far:x}": 4, f"{base:x}": 0}


def test_the_nearest_is_named_whatever_the_blocks() -> None:
    coin = np.random.default_rng(5)
    bits = np.array([coin.permutation([0, 1] * 32) for _ in range(900)], np.uint64)
    hashes = (bits << np.arange(64, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    known = EvaluationImages(hashes[:300], [str(n) for n in range(300)], {})
    places, distances = known.nearest(hashes)
    expected = [[(int(a) ^ int(b)).bit_count() for b in hashes[:300]] for a in hashes]
    assert distances.tolist() == [min(row) for row in expected]
    assert places.tolist() == [row.index(min(row)) for row in expected]
    assert EvaluationImages(np.empty(0, np.uint64), [], {}).nearest(hashes[:2])[1].tolist() == [64, 64]


def test_what_is_wrong_with_a_folder_is_said_in_a_line(folder: Path, spark: "SparkSession") -> None:
    assert read_images(spark, [], Decode()).names == []
    (folder / "empty").mkdir()
    for missing in ("empty", "nowhere"):
        with pytest.raises(PathError, match=f"{missing}: no such folder, or no images in it$"):
            read_images(spark, [str(folder), str(folder / missing)], Decode())
    (folder / "val/c.png").write_bytes(FETCHED["same"][:40])
    with pytest.raises(PathError, match=r"val/c\.png: not decoded: ") as raised:
        read_images(spark, [str(folder)], Decode())
    assert "\n" not in str(raised.value)
