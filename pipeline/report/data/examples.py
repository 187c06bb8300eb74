"""Some of what each rule took: chosen by a hash, so that they are the same whatever the number of tasks."""

import heapq
from collections import defaultdict
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from pipeline.funnel.steps import UNORDERED
from pipeline.public import public_name
from pipeline.report.data.found import WHOLE, Pictures, Texts, cut
from pipeline.report.data.scan import Batches, read, scan
from pipeline.report.data.sources import Source, Sources
from pipeline.report.data.thumbs import Thumbs
from schemas.ids import digest
from schemas.tables import REJECTIONS

MOST = 4  # of a rule
HIDDEN = ("UNSAFE_IMAGE",)  # nobody asked to see these
_TIES = ("page_id", "warc_file", "warc_offset", "block", "image_id", "url", "detail", "measure", "threshold")
_CHOSEN = pa.schema(
    [
        pa.field("thing", pa.string()),
        pa.field("order", pa.string()),
        *(f.with_nullable(True) for f in REJECTIONS.schema),
    ]
)

Row = dict[str, Any]


def choose_examples(spark: SparkSession, sources: Sources) -> dict[tuple[str, str], list[Row]]:
    """Return rows of the ledger by step and rule, of each rule some things, each thing once."""
    store, seed = sources.store, sources.seed
    columns = [column.name for column in REJECTIONS.columns]

    def first(source: Source) -> Batches:
        for batch in read(store, source.path, columns):
            for rule in pc.unique(batch["rule"]).to_pylist():
                yield _first_things(batch.filter(pc.equal(batch["rule"], rule)), seed, rule)

    frame = scan(spark, sources.rejections(), first, _CHOSEN)
    once = f"row_number() over (partition by step, rule, thing order by {', '.join(_TIES)}) as row"
    few = "row_number() over (partition by step, rule order by order, thing) as rank"
    chosen = frame.selectExpr("*", once).where("row = 1").selectExpr("*", few).where(f"rank <= {MOST}")
    found = defaultdict(list)
    for row in chosen.orderBy("step", "rule", "rank").collect():
        found[row["step"], row["rule"]].append(row.asDict())
    return dict(found)


def _first_things(rows: pa.RecordBatch, seed: int, rule: str) -> pa.RecordBatch:
    """Return the rows of a rule's first things by their hashes: an image that stands on many pages is one thing."""
    whose = pc.coalesce(rows["image_id"], rows["page_id"], rows["url"], rows["warc_file"], pa.scalar(""))
    words = pc.if_else(pc.equal(rows["level"], "caption"), rows["detail"], None)
    thing = pc.binary_join_element_wise(
        whose, pc.cast(rows["block"], pa.string()), words, "\x1f", null_handling="replace", null_replacement=""
    )
    orders = {name: digest("report", str(seed), rule, name) for name in pc.unique(thing).to_pylist()}
    first = heapq.nsmallest(MOST, orders, key=lambda name: (orders[name], name))
    found = rows.append_column("thing", thing).filter(pc.is_in(thing, pa.array(first, pa.string()))).to_pylist()
    return pa.RecordBatch.from_pylist([{**row, "order": orders[row["thing"]]} for row in found], schema=_CHOSEN)


def page_of(row: Row) -> tuple[str, int] | None:
    """Return which text of which page shows what a rule took; None where no page does, or the row has the words."""
    if row["page_id"] is None or row["level"] not in ("page", "document", "paragraph"):
        return None
    return row["page_id"], row["block"] if row["level"] == "paragraph" and row["block"] is not None else WHOLE


def image_of(row: Row) -> str | None:
    """Return the image to be shown for what a rule took; None where there is none to show."""
    return None if row["rule"] in HIDDEN else row["image_id"]


def example(row: Row, texts: Texts, pictures: Pictures, thumbs: Thumbs) -> dict[str, Any]:
    """Tell of one thing that a rule took."""
    page, image = page_of(row), pictures.get(image_of(row) or "")
    found = texts.get(page) if page else None
    caption = row["level"] == "caption"
    return {
        "url": cut(row["url"] or (found or image or {"url": ""})["url"]),
        "text": cut(row["detail"]) if caption else found["text"] if found else "",
        "image": thumbs.take(image["key"], image["thumb"]) if image else "",
        "measure": number(row["measure"]),
        "threshold": "" if row["rule"] in UNORDERED else number(row["threshold"]),
        "detail": "" if caption else cut(_public(row)),
    }


def _public(row: Row) -> str | None:
    """Return a row's detail without the place of an archive on somebody's machine."""
    detail: str | None = row["detail"]
    return public_name(detail) if row["rule"] == "DUPLICATE_CAPTURE" and detail else detail


def number(value: float | None) -> float | str:
    """Return a measure as it is told: '' for none, and for what JSON has no number for."""
    return "" if value is None or not isfinite(value) else float(f"{value:.6g}")
