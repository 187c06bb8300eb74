"""Score: the CLIP similarity of each image with its caption and with the texts of its page."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import pyarrow as pa
from pyspark import TaskContext
from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.step import Context, Outcome, Step, map_batches, read_files, spark_schema
from jobs.tables import join_image_bytes, surviving_captions, surviving_images, surviving_pages
from pipeline.blocks import IMAGE_REFS, image_refs
from pipeline.io.store import Store
from pipeline.io.tables import PartWriter
from pipeline.score import similarity
from pipeline.score.clip import EMBEDDED, IMAGES, embed, load
from pipeline.score.clip import TEXTS as TEXT_COLUMN
from pipeline.score.segments import ALT_TEXT, PAIRS, PIECES, TEXTS, WHOLE, caption_pairs, page_texts, split_texts
from pipeline.score.similarity import page_scores, pair_scores
from schemas.recipe import Clip, Recipe
from schemas.tables import EMBEDDINGS, SAFETY, SCORES, STEPS, Batches

FOLDER = "embeddings"
VECTORS = pa.schema([EMBEDDED.field("id"), pa.field("kind", pa.string()), EMBEDDED.field("embedding")])
PARTS = pa.schema([pa.field("path", pa.string())])


def write_part(store: Store) -> Callable[[Batches], Batches]:
    """Return the function that writes batches of VECTORS as one part of `embeddings` and yields its path.

    The part is named by its partition, so a repeated task replaces it.
    """

    def run(batches: Batches) -> Batches:
        task = TaskContext.get()
        path = f"{FOLDER}/part-{task.partitionId() if task else 0:05d}.parquet"
        with PartWriter(store, EMBEDDINGS, store.at(path)) as part:
            for batch in batches:
                part.writer.write_batch(batch.cast(EMBEDDINGS.schema))
        yield pa.RecordBatch.from_pylist([{"path": path}], schema=PARTS)

    return run


GPU = "gpu"  # as in spark.executor.resource.gpu.amount


def work(context: Context) -> Outcome:
    """Write `scores`, and `safety` and `embeddings` if enabled. Each distinct image and text is embedded once."""
    clip = context.recipe.clip
    context.store.remove(FOLDER)
    context.store.remove(SAFETY.name)
    if not clip.enabled:
        off = "off (clip.enabled)"
        return Outcome({"scores": []}, {"scores": 0}, notes={"scores": off, "safety": off})
    head = _head(clip)
    on_pages, texts, captions = _compared(context)
    words = texts.select("text_id", "text").union(captions.select("text_id", "text")).dropDuplicates(["text_id"])
    pieces = map_batches(words.withColumnRenamed("text_id", "id"), split_texts(clip), PIECES).persist()
    used = on_pages.select("image_id").union(captions.select("image_id")).distinct()
    stored = join_image_bytes(context, used, "bytes").withColumnRenamed("image_id", "id")
    # Embeddings are read several times but must be computed once, hence persist().
    needs = gpu_profile(dict(context.spark.sparkContext.getConf().getAll()))
    images = _embedded(clip, stored, IMAGES, needs).persist()
    sentences = _embedded(clip, pieces.dropDuplicates(["id"]), TEXT_COLUMN, needs).persist()
    scores = _of_pages(on_pages, texts, pieces, images, sentences).unionByName(
        _of_captions(captions, pieces, images, sentences)
    )
    files = {"scores": context.write(scores, SCORES, "scores")}
    notes = {
        "model": ", ".join(filter(None, (clip.model, clip.pretrained))),
        "safety": "off (clip.safety names no weights)",
    }
    if head:
        classified = map_batches(
            images.selectExpr("id as image_id", "embedding"), similarity.classify(head), SAFETY.schema
        )
        files["safety"] = context.write(classified, SAFETY, SAFETY.name)
        notes["safety"] = str(clip.safety)
    if clip.keep_embeddings:
        files[FOLDER] = _write_embeddings(context, images, sentences)
    written = read_files(context.spark, context.store, files["scores"])
    counts = {
        "scores": written.count(),
        "images": used.count(),
        "texts": words.count(),
        "embedded_texts": sentences.count(),
        "unreadable_images": images.where("embedding is null").count(),
    }
    for frame in (on_pages, texts, captions, pieces, images, sentences):
        frame.unpersist()
    return Outcome(files, counts, notes=notes)


def _head(clip: Clip) -> similarity.Head | None:
    """Load the model and the classifier of unsafe images, so that the driver raises RecipeError before tasks start."""
    encoder = load(clip)
    return similarity.load(clip.safety, encoder.width()) if clip.safety else None


def _needs(recipe: Recipe) -> None:
    if recipe.clip.enabled:
        _head(recipe.clip)


def _compared(context: Context) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Return what to compare: images on pages (page_id, image_id), texts of pages (TEXTS), and captions (PAIRS)."""
    corpora, pages = context.recipe.corpora, surviving_pages(context, "filter", "dedup")
    stored = surviving_images(context).select("image_id")
    uses, texts, captions = (context.spark.createDataFrame([], spark_schema(s)) for s in (IMAGE_REFS, TEXTS, PAIRS))
    if "interleaved" in corpora:
        uses = map_batches(pages, image_refs, IMAGE_REFS).join(stored, "image_id", "left_semi")
        texts = map_batches(pages, page_texts(context.recipe.clip.texts), TEXTS)
    if "caption" in corpora:
        captions = map_batches(surviving_captions(context, "dedup"), caption_pairs, PAIRS)
    on_pages = uses.select("page_id", "image_id").distinct().persist()
    texts = texts.join(on_pages.select("page_id").distinct(), "page_id", "left_semi")
    return on_pages, texts.persist(), captions.join(stored, "image_id", "left_semi").persist()


def _embedded(config: Clip, frame: DataFrame, column: str, needs: ResourceProfile | None) -> DataFrame:
    """Embed a column; frames of one stage must share the object `needs`, since Spark does not merge profiles."""
    function = embed(config, column, assigned_gpus)
    return frame.select("id", column).mapInArrow(function, spark_schema(EMBEDDED), profile=needs)


def gpu_profile(settings: Mapping[str, str]) -> ResourceProfile | None:
    """Return the resources of an embedding task: a whole GPU, if executors have GPUs.

    The tasks of all other steps need a core each. None means Spark's defaults: without GPUs, under a local master,
    which assigns none, and if the user sets spark.task.resource.gpu.amount.
    """
    is_offered = settings.get(f"spark.executor.resource.{GPU}.amount", "0") != "0"
    is_set = f"spark.task.resource.{GPU}.amount" in settings
    if not is_offered or is_set or re.match(r"local(\[|$)", settings["spark.master"]):
        return None
    return ResourceProfileBuilder().require(TaskResourceRequests().cpus(1).resource(GPU, 1)).build


def assigned_gpus() -> Sequence[str]:
    """Return the addresses of the GPUs assigned to the current task; none outside a task."""
    task = TaskContext.get()
    assigned = task.resources().get(GPU) if task else None
    return assigned.addresses if assigned else ()


def _of_pages(
    on_pages: DataFrame, texts: DataFrame, pieces: DataFrame, images: DataFrame, sentences: DataFrame
) -> DataFrame:
    """Score all images of a page with all its texts; each embedding is joined to the page once."""
    embedded = images.where("embedding is not null").withColumnRenamed("id", "image_id")
    of_images = _gathered(on_pages.join(embedded, "image_id"), "images", "image_id")
    # The ids of texts and pieces make the order unique: a page gives the same matrix in every run.
    in_pieces = texts.drop("text").join(pieces.drop("text"), "text_id").join(sentences, "id")
    of_texts = _gathered(in_pieces, "texts", "block", "sentence", "text_id", "id")
    return map_batches(of_images.join(of_texts, "page_id"), page_scores, SCORES.schema)


def _gathered(frame: DataFrame, name: str, *columns: str) -> DataFrame:
    """Collect the rows of a page with their embeddings into a list, sorted by the columns."""
    return frame.groupBy("page_id").agg(F.sort_array(F.collect_list(F.struct(*columns, "embedding"))).alias(name))


def _of_captions(captions: DataFrame, pieces: DataFrame, images: DataFrame, sentences: DataFrame) -> DataFrame:
    """Score each caption pair; pairs without an embedded image or text are dropped."""
    of_texts = pieces.join(sentences, "id").groupBy("text_id").agg(F.collect_list("embedding").alias("text_embeddings"))
    of_images = images.where("embedding is not null").toDF("image_id", "image_embedding")
    joined = captions.drop("text").join(of_images, "image_id").join(of_texts, "text_id")
    placed = joined.withColumns({"block": F.lit(ALT_TEXT), "sentence": F.lit(WHOLE)})
    columns = [c.name for c in SCORES.columns if c.name != "score"]
    return map_batches(placed.select(*columns, "image_embedding", "text_embeddings"), pair_scores, SCORES.schema)


def _write_embeddings(context: Context, images: DataFrame, sentences: DataFrame) -> list[str]:
    kinds = {"image": images.where("embedding is not null"), "text": sentences}
    frames = [f.withColumn("kind", F.lit(k)).select(*VECTORS.names) for k, f in kinds.items()]
    parts = map_batches(reduce(DataFrame.unionByName, frames), write_part(context.store), PARTS).collect()
    return sorted(part["path"] for part in parts)


STEP = Step(STEPS["score"], ("corpora", "clip"), work, needs=_needs)
