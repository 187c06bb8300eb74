"""Which pages go because their text is nearly another's: of each cluster one stays.

Texts are candidates when they share a band of their MinHash signatures. Texts of one signature, a template that stands
on many pages above all, are folded into one node first, and each node of a band is then linked with the smallest one
there and no other: a band of n nodes has n - 1 links and joins the same clusters as all its pairs would.

Nodes and bands are known by 64 bits. Among a billion texts two unlike ones share a node by chance in one run out of
forty, and a band in one out of three.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from pipeline.duplicates.components import spark_components
from pipeline.duplicates.minhash import bands, signatures, similarity, sketches, whole
from pipeline.duplicates.shingles import shingles
from pipeline.duplicates.survivors import split
from pipeline.spark import arrow_schema, map_batches
from schemas.recipe.dedup import NearText

Batches = Iterator[pa.RecordBatch]

SIGNED = (
    pa.field("characters", pa.int64()),
    pa.field("node", pa.int64()),
    pa.field("bands", pa.list_(pa.int64())),
    pa.field("sketch", pa.binary()),
)
# The newest says what holds today, and the longest what others quote; the id is the same in every run.
_ORDER = ("captured_at desc", "characters desc", "page_id")


def signed_texts(pages: DataFrame, config: NearText) -> DataFrame:
    """Put SIGNED in the place of `text` (not null), a few hundred bytes each; texts without words are left out."""
    rest = [column for column in pages.columns if column != "text"]
    return map_batches(pages, signer(config), pa.schema([*arrow_schema(pages.select(rest)), *SIGNED]))


def surplus_texts(signed: DataFrame, config: NearText) -> DataFrame:
    """Return the pages that go, each once, with `rule`, `measure`, `threshold` and `detail` instead of SIGNED.

    Args: signed have distinct `page_id`, `captured_at`, SIGNED, and whatever else is to come back.
    `measure` is the Jaccard similarity with the page that stays, `detail`, estimated from the signatures.
    """
    columns = [column for column in signed.columns if column not in {field.name for field in SIGNED}]
    signed = signed.persist()
    clusters = signed.join(text_clusters(signed), "node", "left").selectExpr(
        "*", "coalesce(component, node) as cluster"
    )
    _, gone = split(clusters, "cluster", _ORDER, "struct(page_id, sketch)")
    compared = gone.selectExpr(*columns, "sketch", "survivor.sketch as other", "survivor.page_id as detail")
    schema = pa.schema([*arrow_schema(compared.drop("sketch", "other")), pa.field("measure", pa.float64())])
    return (
        map_batches(compared, _measured, schema)
        .where(f"measure >= {config.min_similarity}")
        .selectExpr("*", "'NEAR_DUPLICATE_TEXT' as rule", f"cast({config.min_similarity} as double) as threshold")
    )


def text_clusters(signed: DataFrame) -> DataFrame:
    """Return `node` and `component`, the smallest node that it is joined with; nodes that stand alone are left out."""
    members = signed.select("node", "bands").dropDuplicates(["node"]).selectExpr("node", "explode(bands) as band")
    links = members.selectExpr("node as a", "min(node) over (partition by band) as b")
    return spark_components(links.where("a != b"))


def signer(config: NearText) -> Callable[[Batches], Batches]:
    """Return the function that puts SIGNED in the place of `text`; rows whose text has no words are left out."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            hashes, counts = shingles(batch["text"].to_pylist(), config.ngram_words)
            found = signatures(hashes, counts[counts > 0], config.bands * config.rows)
            keys = bands(found, config.bands)
            kept = batch.filter(pa.array(counts > 0))
            columns = (
                pc.utf8_length(kept["text"]).cast(pa.int64()),
                pa.array(whole(found)),
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
