"""Find what evaluation sets hold of a run: texts by runs of words, images by their perceptual hashes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import fsspec
import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.near_duplicates import TELLING_ONES
from jobs.step import Context, map_batches
from jobs.tables import rejection_rows, surviving_captions
from pipeline.blocks import text_blocks
from pipeline.dedup.ngrams import Ngrams, ngrams, read_items
from pipeline.images.decode import decode
from pipeline.io.store import open_file
from schemas.errors import PathError
from schemas.recipe import Decode, Decontaminate, Recipe
from schemas.tables import CAPTURE, REJECTIONS, Batches

BLOCK = 256  # images that are compared with all evaluation images at a time
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff")
_READ = pa.schema([pa.field(name, pa.string()) for name in ("name", "sha256", "phash", "error")])


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


def _found(*names: str) -> pa.Schema:
    return pa.schema([REJECTIONS.schema.field(name) for name in names])


_PAGE = (*CAPTURE, "url")
_WHY = ("rule", "measure", "threshold", "detail")
OF_TEXTS = _found(*_PAGE, "level", "block", *_WHY)
OF_CAPTIONS = _found("image_id", "page_id", "url", *_WHY)
OF_IMAGES = _found("image_id", "url", *_WHY)


def contaminated_texts(pages: DataFrame, ngrams: Ngrams, config: Decontaminate) -> DataFrame:
    """Return rows of OF_TEXTS: a page that goes, or else each of its paragraphs that goes.

    Args: pages as jobs.tables.surviving_pages has them. `measure` counts the runs of words that a paragraph shares, or
    the paragraphs of a page that share any; `detail` is the first item that has one.
    """
    shared = pages.sparkSession.sparkContext.broadcast(ngrams)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            yield from _of_texts(batch, shared.value, config.max_blocks)

    return map_batches(pages.select(*_PAGE, "blocks", "positions"), run, OF_TEXTS)


def contaminated_captions(captions: DataFrame, ngrams: Ngrams) -> DataFrame:
    """Return rows of OF_CAPTIONS for rows of `captions`: the pairs of image and page that lose their captions."""
    shared = captions.sparkSession.sparkContext.broadcast(ngrams)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            counts, items = shared.value.find(batch["caption"].to_pylist())
            rows = np.flatnonzero(counts)
            pairs = batch.select(["image_id", "page_id", "image_url"]).take(pa.array(rows))
            names = [shared.value.name(item) for item in items[rows]]
            yield _told(pairs.columns, OF_CAPTIONS, "CONTAMINATED_CAPTION", counts[rows], 0, names)

    return map_batches(captions.select("image_id", "page_id", "image_url", "caption"), run, OF_CAPTIONS)


def contaminated_images(images: DataFrame, pictures: Pictures, config: Decontaminate) -> DataFrame:
    """Return rows of OF_IMAGES for rows of `images` whose status is ok; `measure` is the distance in bits."""
    shared = images.sparkSession.sparkContext.broadcast(pictures)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            yield _of_images(batch, shared.value, config.max_image_distance)

    return map_batches(images.select("image_id", "image_url", "sha256", "phash"), run, OF_IMAGES)


def _of_texts(batch: pa.RecordBatch, ngrams: Ngrams, max_blocks: int) -> Batches:
    page, position, texts = text_blocks(batch)
    counts, items = ngrams.find(texts.to_pylist())
    found = np.flatnonzero(counts)
    num_blocks = np.bincount(page[found], minlength=len(batch))
    goes_whole = num_blocks[page[found]] > max_blocks
    blocks, of_pages = found[~goes_whole], found[goes_whole]
    firsts = of_pages[np.unique(page[of_pages], return_index=True)[1]]
    for level, rows, places, rule, measures, threshold in (
        ("page", firsts, pa.nulls(len(firsts), pa.int32()), "CONTAMINATED_PAGE", num_blocks[page[firsts]], max_blocks),
        ("paragraph", blocks, pa.array(position[blocks], pa.int32()), "CONTAMINATED_TEXT", counts[blocks], 0),
    ):
        pages = batch.select(list(_PAGE)).take(pa.array(page[rows]))
        levels = pa.array([level] * len(rows), pa.string())
        names = [ngrams.name(item) for item in items[rows]]
        yield _told([*pages.columns, levels, places], OF_TEXTS, rule, measures, threshold, names)


def _of_images(batch: pa.RecordBatch, pictures: Pictures, max_distance: int) -> pa.RecordBatch:
    hashes = np.array([int(phash, 16) for phash in batch["phash"].to_pylist()], np.uint64)
    places, distances = pictures.nearest(hashes)
    same = [pictures.sha256.get(sha256) for sha256 in batch["sha256"].to_pylist()]
    distances[[name is not None for name in same]] = 0
    rows = np.flatnonzero(distances <= max_distance)
    names = [same[row] or pictures.names[places[row]] for row in rows]
    of_rows = batch.select(["image_id", "image_url"]).take(pa.array(rows)).columns
    return _told(of_rows, OF_IMAGES, "CONTAMINATED_IMAGE", distances[rows], max_distance, names)


def _told(
    known: list[pa.Array], schema: pa.Schema, rule: str, measures: np.ndarray, threshold: int, names: list[str]
) -> pa.RecordBatch:
    num = len(names)
    rules, thresholds = pa.array([rule] * num, pa.string()), pa.array([threshold] * num, pa.float64())
    why = [rules, pa.array(measures, pa.float64()), thresholds, pa.array(names, pa.string())]
    return pa.RecordBatch.from_arrays([*known, *why], schema=schema)


def need_evaluation_sets(recipe: Recipe) -> None:
    """Raise PathError when a file of texts cannot be opened, or a folder holds no image."""
    for path in recipe.decontaminate.texts:
        open_file(path).close()
    list_pictures(recipe.decontaminate.images)


def contaminated_in_texts(
    context: Context, captures: DataFrame, unique: DataFrame
) -> tuple[list[DataFrame], DataFrame | None, dict[str, str]]:
    """Return rejections; among them those of pages and paragraphs, None without sets of texts; and words for people.

    Args: captures are full rows; those that unique names stand for a page each.
    """
    held = context.recipe.decontaminate
    if not held.texts:
        return [], None, {}
    items = ngrams(read_items(held.texts, held.keys), held.ngram_words, held.min_item_words, held.max_shared_items)
    found = contaminated_texts(captures, items, held).join(unique.select(*CAPTURE), list(CAPTURE), "left_semi")
    of_texts = rejection_rows(found, "dedup", F.col("level")).persist()
    of_captions = rejection_rows(contaminated_captions(surviving_captions(context), items), "dedup", "caption")
    told = f"{len(items.places)}, of which {items.num_short} are too short to be looked for"
    return [of_texts, of_captions], of_texts, {"evaluation_items": told}


def contaminated_in_images(context: Context, images: DataFrame) -> DataFrame | None:
    """Return the images that go, with the reason of each; None without sets of images."""
    held = context.recipe.decontaminate
    if not held.images:
        return None
    pictures = read_pictures(context.spark, held.images, context.recipe.decode)
    return contaminated_images(images, pictures, held).persist()
