"""What is nearly the same: clusters of pages and of images, the largest of each rule, and some of each."""

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline.report.data.found import WHOLE, Pictures, Texts, cut
from pipeline.report.data.scan import Batches, read, scan
from pipeline.report.data.sources import Source, Sources
from pipeline.report.data.thumbs import Thumbs

MOST = 8  # of a rule
MEMBERS = 5  # of a cluster, beside the one that stays
KINDS = {
    "DUPLICATE_URL": "pages",
    "DUPLICATE_TEXT": "pages",
    "NEAR_DUPLICATE_TEXT": "pages",
    "DUPLICATE_IMAGE_SET": "pages",
    "DUPLICATE_IMAGE": "images",
    "LOOKALIKE_IMAGE": "images",
}
"""The rules that name who stays: a page, or an image."""

_MEMBER = pa.schema([(name, pa.string()) for name in ("rule", "survivor", "id", "url")])
_STAY = "stay:"  # of look-alikes that all stay no one is the survivor

Cluster = dict[str, Any]


def choose_clusters(spark: SparkSession, sources: Sources) -> list[Cluster]:
    """Return the largest clusters with `kind`, `rule`, `size`, `survivor` ('' where all stay), and `members`.

    Members are pairs of id and address ('' where it is not known), chosen by a hash.
    """
    store, seed = sources.store, sources.seed

    def members(source: Source) -> Batches:
        if source.kind == "rejections":
            columns = ["rule", "detail", "page_id", "image_id", "url"]
            for batch in read(store, source.path, columns):
                told = batch.filter(pc.is_in(batch["rule"], pa.array(list(KINDS))))
                ids = pc.coalesce(told["image_id"], told["page_id"])
                yield pa.RecordBatch.from_arrays([told["rule"], told["detail"], ids, told["url"]], schema=_MEMBER)
        else:
            for batch in read(store, source.path, ["image_id", "cluster"]):
                rule, url = (pa.array([text] * len(batch), pa.string()) for text in ("LOOKALIKE_IMAGE", ""))
                names = pc.binary_join_element_wise(_STAY, batch["cluster"], "")
                yield pa.RecordBatch.from_arrays([rule, names, batch["image_id"], url], schema=_MEMBER)

    found = scan(spark, [*sources.rejections("dedup"), *sources.lookalikes()], members, _MEMBER)
    found = found.where("survivor is not null and id is not null")
    found = found.groupBy("rule", "survivor", "id").agg(F.coalesce(F.min("url"), F.lit("")).alias("url")).persist()
    sizes = found.groupBy("rule", "survivor").agg(F.count("*").alias("num"))
    largest = "row_number() over (partition by rule order by num desc, survivor) as place"
    top = sizes.selectExpr("*", largest).where(f"place <= {MOST}")
    some = f"row_number() over (partition by rule, survivor order by xxhash64({seed}L, id), id) as rank"
    rows = found.join(F.broadcast(top), ["rule", "survivor"]).selectExpr("*", some).where(f"rank <= {MEMBERS}")
    clusters: dict[tuple[str, str], Cluster] = {}
    together = defaultdict(list)
    for row in rows.orderBy("rule", "survivor", "rank").collect():
        rule, name = row["rule"], row["survivor"]
        stays = "" if name.startswith(_STAY) else name
        clusters[rule, name] = {"kind": KINDS[rule], "rule": rule, "size": row["num"] + bool(stays), "survivor": stays}
        together[rule, name].append((row["id"], row["url"]))
    found.unpersist()
    told = [{**cluster, "members": together[at]} for at, cluster in clusters.items()]
    order = list(KINDS)
    return sorted(told, key=lambda c: (c["kind"] != "pages", -c["size"], order.index(c["rule"]), c["survivor"]))


def named(clusters: list[Cluster], kind: str) -> set[str]:
    """Return the ids of the pages or images that stand in clusters."""
    mine = [cluster for cluster in clusters if cluster["kind"] == kind]
    return {name for c in mine for name in (c["survivor"], *(m for m, _ in c["members"])) if name}


def cluster(chosen: Cluster, texts: Texts, pictures: Pictures, thumbs: Thumbs) -> dict[str, Any]:
    """Tell of one cluster: who stays, and some of those that went."""

    def one(name: str, url: str) -> dict[str, str]:
        text = texts.get((name, WHOLE)) if chosen["kind"] == "pages" else None
        image = pictures.get(name) if chosen["kind"] == "images" else None
        return {
            "id": name,
            "url": cut(url or (text or image or {"url": ""})["url"]),
            "text": text["text"] if text else "",
            "image": thumbs.take(image["key"], image["thumb"]) if image else "",
        }

    return {**chosen, "survivor": one(chosen["survivor"], ""), "members": [one(*m) for m in chosen["members"]]}
