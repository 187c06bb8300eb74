"""Evaluation images, found among others by their looks.

Hashes of plain pictures say too little (pipeline/duplicates/lookalikes.py), so such are found by equal bytes alone.
Each image is compared with all evaluation images: 50,000 of them take some 0.15 milliseconds, which is little beside
the time that decoding it took.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import fsspec
import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline.decode import decode
from pipeline.duplicates.lookalikes import TELLING_ONES
from pipeline.spark import map_batches
from schemas.errors import PathError
from schemas.recipe.decode import Decode

BLOCK = 256  # images that are compared with all evaluation images at a time
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff")
_READ = pa.schema([pa.field(name, pa.string()) for name in ("name", "sha256", "phash", "error")])

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Pictures:
    """Evaluation images: `hashes` (uint64) and `names` of those whose hash tells something, and names by `sha256`."""

    hashes: np.ndarray
    names: list[str]
    sha256: dict[str, str]

    def nearest(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return of each hash (n, uint64) the place of the nearest image, and in how many bits it differs (n, n).

        A hash that says too little differs in all 64, and so does every hash where there is no image.
        """
        places, distances = np.zeros(len(hashes), np.int64), np.full(len(hashes), 64)
        telling = np.flatnonzero((np.bitwise_count(hashes) == TELLING_ONES) & bool(self.names))
        for start in range(0, len(telling), BLOCK):
            rows = telling[start : start + BLOCK]
            differing = np.bitwise_count(hashes[rows, None] ^ self.hashes)
            places[rows] = differing.argmin(axis=1)
            distances[rows] = differing.min(axis=1)
        return places, distances


def list_pictures(folders: Sequence[str]) -> list[str]:
    """List the image files in folders and below. Raises: PathError naming a folder without any."""
    return sorted({name for folder in folders for name in _files(folder)})


def read_pictures(spark: SparkSession, folders: Sequence[str], config: Decode) -> Pictures:
    """Read the images in folders and below, as large as the run stores its own; no bound of its recipe holds for them.

    Raises: PathError naming a folder without images, or the first file that cannot be decoded.
    """
    names = list_pictures(folders)
    if not names:
        return Pictures(np.empty(0, np.uint64), [], {})
    frame = spark.createDataFrame([(name,) for name in names], "name string").repartition(
        min(len(names), 4 * spark.sparkContext.defaultParallelism)
    )
    rows = map_batches(frame, _reader(Decode(max_side_pixels=config.max_side_pixels)), _READ).orderBy("name").collect()
    for row in rows:
        if row["error"]:
            raise PathError(f"{row['name']}: {row['error']}")
    telling = [row for row in rows if int(row["phash"], 16).bit_count() == TELLING_ONES]
    hashes = np.array([int(row["phash"], 16) for row in telling], np.uint64)
    return Pictures(hashes, [row["name"] for row in telling], {row["sha256"]: row["name"] for row in reversed(rows)})


def _files(folder: str) -> list[str]:
    """List the images in a folder and below, each as an address that begins with the folder's own."""
    try:
        file_system, path = fsspec.url_to_fs(folder)
        found = file_system.find(path)
    except Exception as error:  # each remote file system raises errors of its own
        raise PathError(f"{folder}: cannot be listed: {error or type(error).__name__}") from error
    below = [name[len(path.rstrip("/")) + 1 :] for name in found if name.lower().endswith(SUFFIXES)]
    if not below:
        raise PathError(f"{folder}: no such folder, or no images in it")
    return [f"{folder.rstrip('/')}/{name}" for name in below]


def _reader(config: Decode) -> Callable[[Batches], Batches]:
    def run(batches: Batches) -> Batches:
        for batch in batches:
            rows = [_read(name, config) for name in batch["name"].to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, schema=_READ)

    return run


def _read(name: str, config: Decode) -> dict[str, str | None]:
    try:
        with fsspec.open(name, "rb") as file:
            row = decode(file.read(), config)
    except Exception as error:  # the driver raises it, in one line
        return {"name": name, "error": f"cannot be read: {error or type(error).__name__}"}
    wrong = None if row["status"] == "ok" else f"not decoded: {row['error']}"
    return {"name": name, "sha256": row["sha256"], "phash": row["phash"], "error": wrong}
