"""Score: the CLIP similarity of every image with its alt text and with the texts of its page."""

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
from pipeline.blocks import USES, image_uses
from pipeline.io.store import Store
from pipeline.io.tables import PartWriter
from pipeline.score import similarity
from pipeline.score.clip import EMBEDDED, IMAGES, embed, load
from pipeline.score.clip import TEXTS as WORDS
from pipeline.score.segments import ALT_TEXT, PAIRS, PIECES, TEXTS, WHOLE, caption_pairs, cut, page_texts
from pipeline.score.similarity import page_scores, pair_scores
from schemas.recipe import Clip, Recipe
from schemas.tables import EMBEDDINGS, SAFETY, SCORES, STEPS, Batches

FOLDER = "embeddings"
VECTORS = pa.schema([EMBEDDED.field("id"), pa.field("kind", pa.string()), EMBEDDED.field("embedding")])
PARTS = pa.schema([pa.field("path", pa.string())])


def keep(store: Store) -> Callable[[Batches], Batches]:
    """Return the function that writes batches of VECTORS as one part of `embeddings`, and gives its path there.

    The part is named by its partition, so a task that is repeated replaces what it wrote.
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
    """Write `scores`, and `safety` and `embeddings` if asked to. Each distinct image and text is embedded once."""
    clip = context.recipe.clip
    context.store.remove(FOLDER)
    context.store.remove(SAFETY.name)
    if not clip.enabled:
        off = "off, by the recipe's clip.enabled"
        return Outcome({"scores": []}, {"scores": 0}, notes={"scores": off, "safety": off})
    head = _head(clip)
    on_pages, texts, captions = _compared(context)
    words = texts.select("text_id", "text").union(captions.select("text_id", "text")).dropDuplicates(["text_id"])
    pieces = map_batches(words.withColumnRenamed("text_id", "id"), cut(clip), PIECES).persist()
    used = on_pages.select("image_id").union(captions.select("image_id")).distinct()
    stored = join_image_bytes(context, used, "bytes").withColumnRenamed("image_id", "id")
    # What is kept here is read several times, and must be computed once: above all the embeddings.
    needs = gpu_profile(dict(context.spark.sparkContext.getConf().getAll()))
    images = _embedded(clip, stored, IMAGES, needs).persist()
    sentences = _embedded(clip, pieces.dropDuplicates(["id"]), WORDS, needs).persist()
    scores = _of_pages(on_pages, texts, pieces, images, sentences).unionByName(
        _of_captions(captions, pieces, images, sentences)
    )
    files = {"scores": context.write(scores, SCORES, "scores")}
    notes = {
        "model": ", ".join(filter(None, (clip.model, clip.pretrained))),
        "safety": "off, no weights by the recipe's clip.safety",
    }
    if head:
        judged = map_batches(images.selectExpr("id as image_id", "embedding"), similarity.classify(head), SAFETY.schema)
        files["safety"] = context.write(judged, SAFETY, SAFETY.name)
        notes["safety"] = str(clip.safety)
    if clip.keep_embeddings:
        files[FOLDER] = _kept(context, images, sentences)
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
    """Load the model, whatever it is asked for later, and the classifier of unsafe images.

    Raises: RecipeError in one line here, not from every worker.
    """
    encoder = load(clip)
    return similarity.load(clip.safety, encoder.width()) if clip.safety else None


def _needs(recipe: Recipe) -> None:
    if recipe.clip.enabled:
        _head(recipe.clip)


def _compared(context: Context) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Return what is compared: images on pages (page_id, image_id), texts of pages (TEXTS), and captions (PAIRS)."""
    corpora, pages = context.recipe.corpora, surviving_pages(context, "filter", "dedup")
    stored = surviving_images(context).select("image_id")
    uses, texts, captions = (context.spark.createDataFrame([], spark_schema(s)) for s in (USES, TEXTS, PAIRS))
    if "interleaved" in corpora:
        uses = map_batches(pages, image_uses, USES).join(stored, "image_id", "left_semi")
        texts = map_batches(pages, page_texts(context.recipe.clip.texts), TEXTS)
    if "caption" in corpora:
        captions = map_batches(surviving_captions(context, "dedup"), caption_pairs, PAIRS)
    on_pages = uses.select("page_id", "image_id").distinct().persist()
    texts = texts.join(on_pages.select("page_id").distinct(), "page_id", "left_semi")
    return on_pages, texts.persist(), captions.join(stored, "image_id", "left_semi").persist()


def _embedded(config: Clip, frame: DataFrame, column: str, needs: ResourceProfile | None) -> DataFrame:
    """Embed a column; needs must be one object for all frames that meet in a stage, Spark merges none."""
    function = embed(config, column, assigned_gpus)
    return frame.select("id", column).mapInArrow(function, spark_schema(EMBEDDED), profile=needs)


def gpu_profile(settings: Mapping[str, str]) -> ResourceProfile | None:
    """Return what a task must have to embed, by Spark's settings: a GPU to itself, where executors have GPUs.

    The tasks of all other steps keep a core each. None leaves tasks as they are: without GPUs, under a local master,
    which has none to give, and where the user sets what every task gets.
    """
    is_offered = settings.get(f"spark.executor.resource.{GPU}.amount", "0") != "0"
    is_set = f"spark.task.resource.{GPU}.amount" in settings
    if not is_offered or is_set or re.match(r"local(\[|$)", settings["spark.master"]):
        return None
    return ResourceProfileBuilder().require(TaskResourceRequests().cpus(1).resource(GPU, 1)).build


def assigned_gpus() -> Sequence[str]:
    """Return the addresses of the GPUs that Spark has assigned to the task that calls this; none outside a task."""
    task = TaskContext.get()
    assigned = task.resources().get(GPU) if task else None
    return assigned.addresses if assigned else ()


def _of_pages(
    on_pages: DataFrame, texts: DataFrame, pieces: DataFrame, images: DataFrame, sentences: DataFrame
) -> DataFrame:
    """Bring to each page the embeddings of its images and texts, each once, and compare all with all."""
    embedded = images.where("embedding is not null").withColumnRenamed("id", "image_id")
    of_images = _gathered(on_pages.join(embedded, "image_id"), "images", "image_id")
    # The id of a piece only makes the order full: the same page must be the same matrix in every run.
    in_pieces = texts.drop("text").join(pieces.drop("text"), "text_id").join(sentences, "id")
    of_texts = _gathered(in_pieces, "texts", "block", "sentence", "text_id", "id")
    return map_batches(of_images.join(of_texts, "page_id"), page_scores, SCORES.schema)


def _gathered(frame: DataFrame, name: str, *columns: str) -> DataFrame:
    """Gather a page's rows in a list, sorted by their columns, with their embeddings."""
    return frame.groupBy("page_id").agg(F.sort_array(F.collect_list(F.struct(*columns, "embedding"))).alias(name))


def _of_captions(captions: DataFrame, pieces: DataFrame, images: DataFrame, sentences: DataFrame) -> DataFrame:
    """Bring to each pair the embeddings of its image and of its text's pieces; pairs that lack either go."""
    of_texts = pieces.join(sentences, "id").groupBy("text_id").agg(F.collect_list("embedding").alias("text_embeddings"))
    of_images = images.where("embedding is not null").toDF("image_id", "image_embedding")
    joined = captions.drop("text").join(of_images, "image_id").join(of_texts, "text_id")
    placed = joined.withColumns({"block": F.lit(ALT_TEXT), "sentence": F.lit(WHOLE)})
    columns = [c.name for c in SCORES.columns if c.name != "score"]
    return map_batches(placed.select(*columns, "image_embedding", "text_embeddings"), pair_scores, SCORES.schema)


def _kept(context: Context, images: DataFrame, sentences: DataFrame) -> list[str]:
    kinds = {"image": images.where("embedding is not null"), "text": sentences}
    frames = [f.withColumn("kind", F.lit(k)).select(*VECTORS.names) for k, f in kinds.items()]
    parts = map_batches(reduce(DataFrame.unionByName, frames), keep(context.store), PARTS).collect()
    return sorted(part["path"] for part in parts)


STEP = Step(STEPS["score"], ("corpora", "clip"), work, needs=_needs)
