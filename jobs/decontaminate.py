"""Find what a run shares with evaluation sets: texts by n-grams of words, images by perceptual hashes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import fsspec
import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.near_duplicates import INFORMATIVE_ONES
from jobs.step import Context, map_batches
from jobs.tables import rejection_rows, surviving_captions
from pipeline.blocks import text_blocks
from pipeline.dedup.ngrams import Ngrams, ngrams, read_items
from pipeline.images.decode import decode
from pipeline.io.store import open_file
from schemas.errors import PathError, WeftError
from schemas.recipe import Decode, Decontaminate, Recipe
from schemas.storage import file_system
from schemas.tables import CAPTURE, REJECTIONS, Batches

BLOCK = 256  # images per comparison with all evaluation images
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff")
_READ = pa.schema([pa.field(name, pa.string()) for name in ("name", "sha256", "phash", "error")])


@dataclass(frozen=True)
class EvaluationImages:
    """Evaluation images: `hashes` (uint64) and `names` of those with informative hashes, and all names by `sha256`."""

    hashes: np.ndarray
    names: list[str]
    sha256: dict[str, str]

    def nearest(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return for each hash (n, uint64) the index of the nearest image and the distance in bits: (n,), (n,).

        The distance of an uninformative hash is 64, as is every distance if there are no images.
        """
        nearest, distances = np.zeros(len(hashes), np.int64), np.full(len(hashes), 64)
        informative = np.flatnonzero((np.bitwise_count(hashes) == INFORMATIVE_ONES) & bool(self.names))
        for start in range(0, len(informative), BLOCK):
            rows = informative[start : start + BLOCK]
            differing = np.bitwise_count(hashes[rows, None] ^ self.hashes)
            nearest[rows] = differing.argmin(axis=1)
            distances[rows] = differing.min(axis=1)
        return nearest, distances


def list_images(folders: Sequence[str]) -> list[str]:
    """List the image files in folders, recursively. Raises: PathError for a folder without images."""
    return sorted({name for folder in folders for name in _files(folder)})


def read_images(spark: SparkSession, folders: Sequence[str], config: Decode) -> EvaluationImages:
    """Read the images in folders, recursively, scaled as the run scales its own; the recipe's image rules do not apply.

    Raises: PathError for a folder without images, or the first file that cannot be decoded.
    """
    names = list_images(folders)
    if not names:
        return EvaluationImages(np.empty(0, np.uint64), [], {})
    frame = spark.createDataFrame([(name,) for name in names], "name string").repartition(
        min(len(names), 4 * spark.sparkContext.defaultParallelism)
    )
    rows = map_batches(frame, _reader(Decode(max_side_pixels=config.max_side_pixels)), _READ).orderBy("name").collect()
    for row in rows:
        if row["error"]:
            raise PathError(f"{row['name']}: {row['error']}")
    informative = [row for row in rows if int(row["phash"], 16).bit_count() == INFORMATIVE_ONES]
    hashes = np.array([int(row["phash"], 16) for row in informative], np.uint64)
    by_sha256 = {row["sha256"]: row["name"] for row in reversed(rows)}
    return EvaluationImages(hashes, [row["name"] for row in informative], by_sha256)


def _files(folder: str) -> list[str]:
    """List the images in a folder, recursively, as addresses that begin with the folder's."""
    try:
        store, path = file_system(folder)
        found = store.find(path)
    except WeftError:
        raise
    except Exception as error:  # each file system raises its own errors
        raise PathError(f"{folder}: cannot be listed: {error or type(error).__name__}") from error
    names = [name[len(path.rstrip("/")) + 1 :] for name in found if name.lower().endswith(SUFFIXES)]
    if not names:
        raise PathError(f"{folder}: no such folder, or no images in it")
    return [f"{folder.rstrip('/')}/{name}" for name in names]


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
    except Exception as error:  # the driver raises it
        return {"name": name, "error": f"cannot be read: {error or type(error).__name__}"}
    problem = None if row["status"] == "ok" else f"not decoded: {row['error']}"
    return {"name": name, "sha256": row["sha256"], "phash": row["phash"], "error": problem}


def _schema(*names: str) -> pa.Schema:
    return pa.schema([REJECTIONS.schema.field(name) for name in names])


_PAGE = (*CAPTURE, "url")
_REASON = ("rule", "measure", "threshold", "detail")
OF_TEXTS = _schema(*_PAGE, "level", "block", *_REASON)
OF_CAPTIONS = _schema("image_id", "page_id", "url", *_REASON)
OF_IMAGES = _schema("image_id", "url", *_REASON)


def contaminated_texts(pages: DataFrame, ngrams: Ngrams, config: Decontaminate) -> DataFrame:
    """Return rows of OF_TEXTS: a contaminated page, or else each of its contaminated paragraphs.

    Args: pages as of jobs.tables.surviving_pages. `measure` is the number of shared n-grams of a paragraph, or of
    contaminated paragraphs of a page; `detail` is the first item that shares one.
    """
    shared = pages.sparkSession.sparkContext.broadcast(ngrams)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            yield from _of_texts(batch, shared.value, config.max_blocks)

    return map_batches(pages.select(*_PAGE, "blocks", "positions"), run, OF_TEXTS)


def contaminated_captions(captions: DataFrame, ngrams: Ngrams) -> DataFrame:
    """Return rows of OF_CAPTIONS for rows of `captions`: the pairs of image and page whose captions are dropped."""
    shared = captions.sparkSession.sparkContext.broadcast(ngrams)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            counts, items = shared.value.find(batch["caption"].to_pylist())
            rows = np.flatnonzero(counts)
            pairs = batch.select(["image_id", "page_id", "image_url"]).take(pa.array(rows))
            names = [shared.value.name(item) for item in items[rows]]
            yield _rows(pairs.columns, OF_CAPTIONS, "CONTAMINATED_CAPTION", counts[rows], 0, names)

    return map_batches(captions.select("image_id", "page_id", "image_url", "caption"), run, OF_CAPTIONS)


def contaminated_images(images: DataFrame, evaluation: EvaluationImages, config: Decontaminate) -> DataFrame:
    """Return rows of OF_IMAGES for stored images; `measure` is the distance in bits."""
    shared = images.sparkSession.sparkContext.broadcast(evaluation)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            yield _of_images(batch, shared.value, config.max_image_distance)

    return map_batches(images.select("image_id", "image_url", "sha256", "phash"), run, OF_IMAGES)


def _of_texts(batch: pa.RecordBatch, ngrams: Ngrams, max_blocks: int) -> Batches:
    page, position, texts = text_blocks(batch)
    counts, items = ngrams.find(texts.to_pylist())
    found = np.flatnonzero(counts)
    num_blocks = np.bincount(page[found], minlength=len(batch))
    is_of_page = num_blocks[page[found]] > max_blocks
    blocks, of_pages = found[~is_of_page], found[is_of_page]
    firsts = of_pages[np.unique(page[of_pages], return_index=True)[1]]
    for level, rows, positions, rule, measures, threshold in (
        ("page", firsts, pa.nulls(len(firsts), pa.int32()), "CONTAMINATED_PAGE", num_blocks[page[firsts]], max_blocks),
        ("paragraph", blocks, pa.array(position[blocks], pa.int32()), "CONTAMINATED_TEXT", counts[blocks], 0),
    ):
        pages = batch.select(list(_PAGE)).take(pa.array(page[rows]))
        levels = pa.array([level] * len(rows), pa.string())
        names = [ngrams.name(item) for item in items[rows]]
        yield _rows([*pages.columns, levels, positions], OF_TEXTS, rule, measures, threshold, names)


def _of_images(batch: pa.RecordBatch, evaluation: EvaluationImages, max_distance: int) -> pa.RecordBatch:
    hashes = np.array([int(phash, 16) for phash in batch["phash"].to_pylist()], np.uint64)
    nearest, distances = evaluation.nearest(hashes)
    same = [evaluation.sha256.get(sha256) for sha256 in batch["sha256"].to_pylist()]
    distances[[name is not None for name in same]] = 0
    rows = np.flatnonzero(distances <= max_distance)
    names = [same[row] or evaluation.names[nearest[row]] for row in rows]
    of_rows = batch.select(["image_id", "image_url"]).take(pa.array(rows)).columns
    return _rows(of_rows, OF_IMAGES, "CONTAMINATED_IMAGE", distances[rows], max_distance, names)


def _rows(
    keys: list[pa.Array], schema: pa.Schema, rule: str, measures: np.ndarray, threshold: int, names: list[str]
) -> pa.RecordBatch:
    num = len(names)
    rules, thresholds = pa.array([rule] * num, pa.string()), pa.array([threshold] * num, pa.float64())
    reason = [rules, pa.array(measures, pa.float64()), thresholds, pa.array(names, pa.string())]
    return pa.RecordBatch.from_arrays([*keys, *reason], schema=schema)


def need_evaluation_sets(recipe: Recipe) -> None:
    """Raise PathError when a file of texts cannot be opened, or a folder has no images."""
    for path in recipe.decontaminate.texts:
        open_file(path).close()
    list_images(recipe.decontaminate.images)


def contaminated_in_texts(
    context: Context, captures: DataFrame, unique: DataFrame
) -> tuple[list[DataFrame], DataFrame | None, dict[str, str]]:
    """Return all rejections; those of pages and paragraphs (None without evaluation texts); and notes.

    Args: captures are full rows; unique names one capture per page.
    """
    config = context.recipe.decontaminate
    if not config.texts:
        return [], None, {}
    items = read_items(config.texts, config.keys)
    index = ngrams(items, config.ngram_words, config.min_item_words, config.max_shared_items)
    found = contaminated_texts(captures, index, config).join(unique.select(*CAPTURE), list(CAPTURE), "left_semi")
    of_texts = rejection_rows(found, "dedup", F.col("level")).persist()
    of_captions = rejection_rows(contaminated_captions(surviving_captions(context), index), "dedup", "caption")
    note = f"{len(index.places)}, of which {index.num_short} are too short to search for"
    return [of_texts, of_captions], of_texts, {"evaluation_items": note}


def contaminated_in_images(context: Context, images: DataFrame) -> DataFrame | None:
    """Return the contaminated images with their reasons; None without evaluation images."""
    config = context.recipe.decontaminate
    if not config.images:
        return None
    evaluation = read_images(context.spark, config.images, context.recipe.decode)
    return contaminated_images(images, evaluation, config).persist()
