"""Shard: shuffle the documents globally and write them as WebDataset tars of about equal size; hold some out."""

from collections import Counter
from typing import cast

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.step import Context, Outcome, Step, map_batches
from jobs.tables import join_image_bytes
from pipeline.shards.write import ENTRIES, ORDERED, PLACE, ROWS, shuffle_keys, write_shards
from schemas.shards import LISTING, VALIDATION, VERSION, Listing, ShardEntry
from schemas.tables import CORPORA, DOCUMENTS, IMAGES, STEPS

# Readers that infer columns from the first samples (five in Hugging Face datasets) find all image members when the
# documents with most images come first in each shard.
LEADERS = 5
_IMAGE_IDS = "filter({blocks}, b -> b.kind = 'image').image_id"
_TEXT_BYTES = "aggregate(blocks, 0L, (n, b) -> n + coalesce(octet_length(b.text), 0))"


def work(context: Context) -> Outcome:
    """Write the tars and their indexes, and last the listing of all shards."""
    store = context.store
    store.remove("shards")
    documents = context.read(DOCUMENTS)
    images = context.read(IMAGES).where("status = 'ok'")
    assigned, num_shards = _assign(context, documents, images)
    rows = _rows(context, assigned, documents).repartition(max(num_shards, 1), "corpus", "split", "shard")
    rows = rows.sortWithinPartitions("corpus", "split", "shard", F.desc("lead"), "order", "key", "position")
    rows = rows.select(*ROWS.names)
    entries = [cast(ShardEntry, r.asDict()) for r in map_batches(rows, write_shards(store), ENTRIES).collect()]
    entries.sort(key=lambda e: e["tar"])
    listing: Listing = {"version": VERSION, "shards": entries}
    store.write_json(store.at("shards", LISTING), listing)
    counts: Counter[str] = Counter()
    for e in entries:
        counts[f"{e['corpus']}_samples"] += e["num_samples"]
        counts[f"{e['corpus']}_shards"] += 1
        if e["split"] == VALIDATION:
            counts[f"{e['corpus']}_held_out"] += e["num_samples"]
    files = [f"shards/{e[kind]}" for e in entries for kind in ("tar", "index")]
    documents_of = {corpus: counts[f"{corpus}_samples"] for corpus in CORPORA}
    judged = {
        "page": documents_of["interleaved"] + documents_of["text"],
        "document": documents_of["interleaved"],
        "caption": documents_of["caption"],
    }
    return Outcome({"shards": files}, dict(counts), judged=judged)


def _assign(context: Context, documents: DataFrame, images: DataFrame) -> tuple[DataFrame, int]:
    """Assign each document to a shard; return columns PLACE (without position) and the number of shards.

    The rank of a document in the shuffle of its split is the number of documents in lower buckets of its order, plus
    its row in its own bucket: exact, without one task sorting the corpus. rank * shards / documents gives shards of
    equal counts.
    """
    sizes = images.select("image_id", "num_bytes")
    used = documents.select("key", F.explode(F.expr(_IMAGE_IDS.format(blocks="blocks"))).alias("image_id")).join(
        sizes, "image_id"
    )
    weights = used.groupBy("key").agg(F.sum("num_bytes").alias("image_bytes"))
    shuffle = shuffle_keys(context.recipe.seed, context.recipe.shard.validation_fraction)
    orders = map_batches(documents.select("key", "corpus", "host"), shuffle, ORDERED)
    measured = documents.selectExpr(
        "key", "corpus", f"{_TEXT_BYTES} as text_bytes", f"size({_IMAGE_IDS.format(blocks='blocks')}) as num_images"
    )
    known = (
        measured.join(weights, "key", "left")
        .join(orders, ["key", "corpus"])
        .withColumn("bucket", F.substring("order", 1, 3))
        .persist()
    )
    num_bytes = F.sum(F.col("text_bytes") + F.coalesce("image_bytes", F.lit(0)))
    totals = known.groupBy("corpus", "split").agg(F.count("*").alias("total"), num_bytes.alias("num_bytes"))
    shards = totals.withColumn("shards", F.expr(f"least(total, ceil(num_bytes / {context.recipe.shard.target_bytes}))"))
    shards = shards.withColumn("shards", F.greatest("shards", F.lit(1).cast("bigint"))).drop("num_bytes").persist()
    below = Window.partitionBy("corpus", "split").orderBy("bucket").rowsBetween(Window.unboundedPreceding, -1)
    buckets = known.groupBy("corpus", "split", "bucket").count()
    lower = F.coalesce(F.sum("count").over(below), F.lit(0)).alias("before")
    before = buckets.select("corpus", "split", "bucket", lower)
    inside = Window.partitionBy("corpus", "split", "bucket").orderBy("order", "key")
    ranked = known.join(before, ["corpus", "split", "bucket"]).withColumn(
        "rank", F.col("before") + F.row_number().over(inside) - 1
    )
    assigned = ranked.join(shards, ["corpus", "split"]).withColumn("shard", F.expr("rank * shards div total"))
    most_images = Window.partitionBy("corpus", "split", "shard").orderBy(F.desc("num_images"), "order", "key")
    assigned = assigned.withColumn("lead", (F.row_number().over(most_images) <= LEADERS) & (F.col("num_images") > 0))
    total = shards.agg(F.sum("shards")).first()
    return assigned.select("corpus", "split", "shard", "lead", "order", "key"), int(total[0] or 0) if total else 0


def _rows(context: Context, assigned: DataFrame, documents: DataFrame) -> DataFrame:
    """Make ROWS: one per document, and one per image of it with the image's bytes."""
    place = [field.name for field in PLACE if field.name != "position"]
    document = F.struct(*(c.name for c in DOCUMENTS.columns)).alias("document")
    of_documents = assigned.join(documents.select("key", "corpus", document), ["key", "corpus"])
    image_columns = {"image_id": "string", "sha256": "string", "width": "int", "height": "int", "bytes": "binary"}
    _, *stored = image_columns
    nulls = [F.lit(None).cast(kind).alias(name) for name, kind in image_columns.items()]
    of_documents = of_documents.select(*place, F.lit(-1).alias("position"), "document", *nulls)
    image_ids = F.expr(_IMAGE_IDS.format(blocks="document.blocks"))
    used = of_documents.select(*place, F.posexplode(image_ids).alias("position", "image_id"))
    of_images = join_image_bytes(context, used, *stored)
    of_images = of_images.withColumn("document", F.lit(None).cast(of_documents.schema["document"].dataType))
    return of_documents.unionByName(of_images.select(*of_documents.columns))


STEP = Step(STEPS["shard"], ("shard",), work)
