"""Examples for the report, sampled by hash: rejections, clusters of duplicates, and samples of shards."""

import base64
import heapq
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Set
from contextlib import suppress
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.report_sources import ReportFiles, TableFiles, read, scan, select
from jobs.step import map_batches
from pipeline.filter import join_text
from pipeline.inspect.facts import public_name
from pipeline.inspect.funnel import UNORDERED
from pipeline.io.store import Store
from schemas.errors import IntegrityError
from schemas.integrity import parse_json
from schemas.shards import INDEX, MAX_MEMBER_BYTES
from schemas.tables import CAPTURE, CORPORA, IMAGES, PAGES, REJECTIONS, Batches, digest

MAX_SIDE_PIXELS = 240
QUALITY = 70
_KEY_CHARACTERS = 16


def key(data: bytes) -> str:
    """Return the key of an image, derived from its bytes, so that equal images are stored once."""
    return digest("thumb", data)[:_KEY_CHARACTERS]


def thumb(data: bytes) -> bytes:
    """Return a thumbnail of a JPEG, or b'' for anything else, which a foreign shard may contain."""
    made = io.BytesIO()
    with suppress(Exception):  # decoders raise any exception on hostile bytes
        image = Image.open(io.BytesIO(data), formats=["JPEG"])
        image.draft("RGB", (MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
        small = image.convert("RGB")
        small.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
        small.save(made, "JPEG", quality=QUALITY)
    return made.getvalue()


class Thumbs:
    """The thumbnails of a report, as data URLs by key, up to a size limit."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.left_bytes = 0

    def allow(self, num_bytes: int) -> None:
        """Set the number of bytes that may be added from now on."""
        self.left_bytes = num_bytes

    def take(self, name: str, jpeg: bytes) -> str:
        """Add a thumbnail and return its key; return '' if it is empty or exceeds the limit."""
        if name in self.urls:
            return name
        url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        if not jpeg or len(url) > self.left_bytes:
            return ""
        self.left_bytes -= len(url)
        self.urls[name] = url
        return name


WHOLE_PAGE = -1  # in place of a block's index: the start of the page's text
MAX_CHARACTERS = 400
_TEXT = pa.schema([("page_id", pa.string()), ("block", pa.int32()), ("url", pa.string()), ("text", pa.string())])
_IMAGE = pa.schema([("image_id", pa.string()), ("url", pa.string()), ("key", pa.string()), ("thumb", pa.binary())])

Texts = dict[tuple[str, int], dict[str, Any]]
Images = dict[str, dict[str, Any]]


def cut(text: str | None, most: int = MAX_CHARACTERS) -> str:
    """Truncate a text, with an ellipsis; None becomes ''."""
    text = text or ""
    return text if len(text) <= most else text[:most] + "…"


def find_texts(spark: SparkSession, sources: ReportFiles, blocks: Mapping[str, Set[int]]) -> Texts:
    """Return address and text of blocks by page id and block index, or of WHOLE_PAGE; missing ones are left out."""
    store = sources.store

    def texts(source: TableFiles) -> Batches:
        for batch in select(store, source.path, "page_id", blocks, ["url", "blocks"]):
            rows = []
            for page in batch.to_pylist():
                for block in blocks[page["page_id"]]:
                    if block < len(page["blocks"]):
                        text = join_text(page["blocks"]) if block == WHOLE_PAGE else page["blocks"][block]["text"]
                        rows.append({**page, "block": block, "text": cut(text)})
            yield pa.RecordBatch.from_pylist(rows, schema=_TEXT)

    files = sources.of(PAGES) if blocks else []
    return {(row["page_id"], row["block"]): row.asDict() for row in scan(spark, files, texts, _TEXT).collect()}


def find_images(spark: SparkSession, sources: ReportFiles, image_ids: Set[str]) -> Images:
    """Return address, key and thumbnail (b'' if not stored) of images by id."""
    store = sources.store

    def images(source: TableFiles) -> Batches:
        for batch in select(store, source.path, "image_id", image_ids, ["image_url", "bytes"]):
            rows = [
                {
                    "image_id": image["image_id"],
                    "url": image["image_url"],
                    "key": key(image["bytes"] or b""),
                    "thumb": thumb(image["bytes"] or b""),
                }
                for image in batch.to_pylist()
            ]
            yield pa.RecordBatch.from_pylist(rows, schema=_IMAGE)

    files = sources.of(IMAGES) if image_ids else []
    return {row["image_id"]: row.asDict() for row in scan(spark, files, images, _IMAGE).collect()}


MAX_EXAMPLES = 4  # per rule
HIDDEN = ("UNSAFE_IMAGE",)  # rules whose images are not shown
_TIES = (*CAPTURE, "block", "image_id", "url", "detail", "measure", "threshold")
_CHOSEN = pa.schema(
    [
        pa.field("item", pa.string()),
        pa.field("order", pa.string()),
        *(f.with_nullable(True) for f in REJECTIONS.schema),
    ]
)

Row = dict[str, Any]


def choose_examples(spark: SparkSession, sources: ReportFiles) -> dict[tuple[str, str], list[Row]]:
    """Return a sample of rows of `rejections` by step and rule, without repeated items."""
    store, seed = sources.store, sources.seed
    columns = [column.name for column in REJECTIONS.columns]

    def first(source: TableFiles) -> Batches:
        for batch in read(store, source.path, columns):
            for rule in pc.unique(batch["rule"]).to_pylist():
                yield _sample(batch.filter(pc.equal(batch["rule"], rule)), seed, rule)

    frame = scan(spark, sources.rejections(), first, _CHOSEN)
    once = f"row_number() over (partition by step, rule, item order by {', '.join(_TIES)}) as row"
    few = "row_number() over (partition by step, rule order by order, item) as rank"
    chosen = frame.selectExpr("*", once).where("row = 1").selectExpr("*", few).where(f"rank <= {MAX_EXAMPLES}")
    found = defaultdict(list)
    for row in chosen.orderBy("step", "rule", "rank").collect():
        found[row["step"], row["rule"]].append(row.asDict())
    return dict(found)


def _sample(rows: pa.RecordBatch, seed: int, rule: str) -> pa.RecordBatch:
    """Return the rows of a rule's first items in hash order; an image on several pages is one item."""
    owner = pc.coalesce(rows["image_id"], rows["page_id"], rows["url"], rows["warc_file"], pa.scalar(""))
    caption = pc.if_else(pc.equal(rows["level"], "caption"), rows["detail"], None)
    item = pc.binary_join_element_wise(
        owner, pc.cast(rows["block"], pa.string()), caption, "\x1f", null_handling="replace", null_replacement=""
    )
    orders = {name: digest("report", str(seed), rule, name) for name in pc.unique(item).to_pylist()}
    first = heapq.nsmallest(MAX_EXAMPLES, orders, key=lambda name: (orders[name], name))
    found = rows.append_column("item", item).filter(pc.is_in(item, pa.array(first, pa.string()))).to_pylist()
    return pa.RecordBatch.from_pylist([{**row, "order": orders[row["item"]]} for row in found], schema=_CHOSEN)


def page_of(row: Row) -> tuple[str, int] | None:
    """Return the page and block whose text shows a rejection; None for images, captions and unread pages."""
    if row["page_id"] is None or row["level"] not in ("page", "document", "paragraph"):
        return None
    return row["page_id"], row["block"] if row["level"] == "paragraph" and row["block"] is not None else WHOLE_PAGE


def image_of(row: Row) -> str | None:
    """Return the id of the image to show for a rejection, or None."""
    return None if row["rule"] in HIDDEN else row["image_id"]


def example(row: Row, texts: Texts, images: Images, thumbs: Thumbs) -> dict[str, Any]:
    """Describe one rejection."""
    page, image = page_of(row), images.get(image_of(row) or "")
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
    """Return the detail of a row, without local paths of archives."""
    detail: str | None = row["detail"]
    return public_name(detail) if row["rule"] == "DUPLICATE_CAPTURE" and detail else detail


def number(value: float | None) -> float | str:
    """Round a measure for display; '' for None and for numbers that JSON cannot represent."""
    return "" if value is None or not isfinite(value) else float(f"{value:.6g}")


MAX_CLUSTERS = 8  # per rule
MAX_MEMBERS = 5  # per cluster, without the kept one
KINDS = {
    "DUPLICATE_URL": "pages",
    "DUPLICATE_TEXT": "pages",
    "NEAR_DUPLICATE_TEXT": "pages",
    "DUPLICATE_IMAGE_SET": "pages",
    "DUPLICATE_IMAGE": "images",
    "NEAR_DUPLICATE_IMAGE": "images",
}
"""The rules whose detail names the kept page or image."""

_MEMBER = pa.schema([(name, pa.string()) for name in ("rule", "survivor", "id", "url")])
_ALL_KEPT = "stay:"  # prefix of clusters of near-duplicate images that are all kept

Cluster = dict[str, Any]


def choose_clusters(spark: SparkSession, sources: ReportFiles) -> list[Cluster]:
    """Return the largest clusters with `kind`, `rule`, `size`, `survivor` ('' if all are kept), and `members`.

    Members are a sample of pairs of id and address ('' if unknown).
    """
    store, seed = sources.store, sources.seed

    def members(source: TableFiles) -> Batches:
        if source.kind == "rejections":
            columns = ["rule", "detail", "page_id", "image_id", "url"]
            for batch in read(store, source.path, columns):
                rows = batch.filter(pc.is_in(batch["rule"], pa.array(list(KINDS))))
                ids = pc.coalesce(rows["image_id"], rows["page_id"])
                yield pa.RecordBatch.from_arrays([rows["rule"], rows["detail"], ids, rows["url"]], schema=_MEMBER)
        else:
            for batch in read(store, source.path, ["image_id", "cluster"]):
                rule, url = (pa.array([text] * len(batch), pa.string()) for text in ("NEAR_DUPLICATE_IMAGE", ""))
                names = pc.binary_join_element_wise(_ALL_KEPT, batch["cluster"], "")
                yield pa.RecordBatch.from_arrays([rule, names, batch["image_id"], url], schema=_MEMBER)

    found = scan(spark, [*sources.rejections("dedup"), *sources.near_duplicate_images()], members, _MEMBER)
    found = found.where("survivor is not null and id is not null")
    found = found.groupBy("rule", "survivor", "id").agg(F.coalesce(F.min("url"), F.lit("")).alias("url")).persist()
    sizes = found.groupBy("rule", "survivor").agg(F.count("*").alias("num"))
    largest = "row_number() over (partition by rule order by num desc, survivor) as place"
    top = sizes.selectExpr("*", largest).where(f"place <= {MAX_CLUSTERS}")
    some = f"row_number() over (partition by rule, survivor order by xxhash64({seed}L, id), id) as rank"
    rows = found.join(F.broadcast(top), ["rule", "survivor"]).selectExpr("*", some).where(f"rank <= {MAX_MEMBERS}")
    clusters: dict[tuple[str, str], Cluster] = {}
    by_cluster = defaultdict(list)
    for row in rows.orderBy("rule", "survivor", "rank").collect():
        rule, name = row["rule"], row["survivor"]
        kept = "" if name.startswith(_ALL_KEPT) else name
        clusters[rule, name] = {"kind": KINDS[rule], "rule": rule, "size": row["num"] + bool(kept), "survivor": kept}
        by_cluster[rule, name].append((row["id"], row["url"]))
    found.unpersist()
    chosen = [{**cluster, "members": by_cluster[at]} for at, cluster in clusters.items()]
    order = list(KINDS)
    return sorted(chosen, key=lambda c: (c["kind"] != "pages", -c["size"], order.index(c["rule"]), c["survivor"]))


def ids_of(clusters: list[Cluster], kind: str) -> set[str]:
    """Return the ids of the pages or images in clusters of a kind."""
    of_kind = [cluster for cluster in clusters if cluster["kind"] == kind]
    return {name for c in of_kind for name in (c["survivor"], *(m for m, _ in c["members"])) if name}


def cluster(chosen: Cluster, texts: Texts, images: Images, thumbs: Thumbs) -> dict[str, Any]:
    """Describe one cluster: the kept page or image, and some of the others."""

    def one(name: str, url: str) -> dict[str, str]:
        text = texts.get((name, WHOLE_PAGE)) if chosen["kind"] == "pages" else None
        image = images.get(name) if chosen["kind"] == "images" else None
        return {
            "id": name,
            "url": cut(url or (text or image or {"url": ""})["url"]),
            "text": text["text"] if text else "",
            "image": thumbs.take(image["key"], image["thumb"]) if image else "",
        }

    return {**chosen, "survivor": one(chosen["survivor"], ""), "members": [one(*m) for m in chosen["members"]]}


MAX_BLOCKS = 60
MAX_BLOCK_CHARACTERS = 2000
MAX_SAMPLE_CHARACTERS = 20_000  # of all texts together
_INDEX = [field.with_nullable(True) for field in INDEX.schema if field.name != "num_characters"]
_CHOSEN_SAMPLES = pa.schema([*((name, pa.string()) for name in ("corpus", "split", "tar", "order")), *_INDEX])
_READ = pa.schema(
    [
        *((name, pa.string()) for name in ("corpus", "order", "key", "sample")),
        ("keys", pa.list_(pa.string())),
        ("thumbs", pa.list_(pa.binary())),
    ]
)


def read_samples(spark: SparkSession, sources: ReportFiles, num: int) -> list[tuple[Row, list[bytes]]]:
    """Return at most num samples of each corpus, each with the thumbnails of its images in order.

    `image` of a block is the key of its thumbnail. Unreadable samples are left out; `weft verify` reports them.
    """
    chosen = _choose(spark, sources, num)
    tasks = int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    rows = map_batches(chosen.repartition(tasks, "order"), _reader(sources.store), _READ).collect()
    rows.sort(key=lambda r: (CORPORA.index(r["corpus"]), r["order"], r["key"]))
    return [(json.loads(row["sample"]), [bytes(t) for t in row["thumbs"]]) for row in rows]


def place_thumbs(samples: list[tuple[Row, list[bytes]]], thumbs: Thumbs) -> list[Row]:
    """Add the thumbnails to `thumbs` and return the samples, with '' as key where the limit is exceeded.

    The first images of all samples are added first, then all second ones, and so on.
    """
    image_blocks = [[b for b in sample["blocks"] if b["kind"] == "image"] for sample, _ in samples]
    for position in range(max(map(len, image_blocks), default=0)):
        for blocks, (_, made) in zip(image_blocks, samples, strict=True):
            if position < len(blocks):
                blocks[position]["image"] = thumbs.take(blocks[position]["image"], made[position])
    return [sample for sample, _ in samples]


def _choose(spark: SparkSession, sources: ReportFiles, num: int) -> DataFrame:
    store, seed = sources.store, sources.seed
    shards = {path: (s["corpus"], s["split"], sources.tar(s)) for path, s in sources.indexes().items()}

    def first(source: TableFiles) -> Batches:
        corpus, split, tar = shards[source.path]
        shard = {"corpus": corpus, "split": split, "tar": tar}
        for batch in read(store, source.path, [field.name for field in _INDEX]):
            orders = [digest("report", str(seed), name) for name in batch["key"].to_pylist()]
            least = heapq.nsmallest(num, range(len(orders)), key=orders.__getitem__)
            rows = batch.take(pa.array(least, pa.int64())).to_pylist()
            made = [{**row, **shard, "order": orders[at]} for row, at in zip(rows, least, strict=True)]
            yield pa.RecordBatch.from_pylist(made, schema=_CHOSEN_SAMPLES)

    files = [TableFiles("index", corpus, path) for path, (corpus, _, _) in shards.items()] if num else []
    rank = "row_number() over (partition by corpus order by order, key) as rank"
    return scan(spark, files, first, _CHOSEN_SAMPLES).selectExpr("*", rank).where(f"rank <= {num}").drop("rank")


def _reader(store: Store) -> Any:
    def run(batches: Batches) -> Batches:
        for batch in batches:
            for row in batch.to_pylist():
                try:
                    sample, images = read_sample(store, row)
                except (OSError, ValueError, KeyError, TypeError, AttributeError, IntegrityError):  # of any content
                    continue
                known = {name: row[name] for name in ("corpus", "order", "key")}
                made = {**known, "sample": json.dumps(sample), "keys": [], "thumbs": [thumb(i) for i in images]}
                yield pa.RecordBatch.from_pylist([made], schema=_READ)

    return run


def read_sample(store: Store, row: Row) -> tuple[Row, list[bytes]]:
    """Read the sample of an index row with `corpus`, `split` and `tar`; return it and its images."""
    ranges = {m["name"]: (m["offset"], m["offset"] + m["size"]) for m in row["members"]}

    def member(name: str) -> bytes:
        start, end = ranges[name]
        if not 0 <= start <= end <= start + MAX_MEMBER_BYTES:
            raise IntegrityError(f"{row['key']}.{name} cannot be at {start} to {end}")
        data: bytes = store.fs.cat_file(row["tar"], start=start, end=end)
        return data

    fields = parse_json(member("json"), row["key"])
    if row["corpus"] == "interleaved":
        blocks = [(b, b["image"]) for b in fields["blocks"]]
    else:
        texts = [({"kind": "text", "text": text}, "") for text in member("txt").decode().split("\n\n")]
        blocks = ([({"kind": "image", **fields}, "jpg")] if row["corpus"] == "caption" else []) + texts
    shown: list[Row] = []
    images: list[bytes] = []
    left = MAX_SAMPLE_CHARACTERS
    for block, name in blocks[:MAX_BLOCKS]:
        if block["kind"] == "image":
            images.append(member(name))
            shown.append(_image_block(block, row, len(images) - 1, key(images[-1])))
        elif left > 0:
            shown.append({"kind": "text", "text": cut(block["text"], min(left, MAX_BLOCK_CHARACTERS))})
            left -= len(shown[-1]["text"])
    about = {name: cut(str(fields.get(name, ""))) for name in ("url", "title", "captured_at")}
    known = {name: row[name] for name in ("key", "corpus", "split", "host", "language", "num_words")}
    return {**known, **about, "blocks": shown}, images


def _image_block(block: Row, row: Row, at: int, name: str) -> Row:
    sides = {side: row[f"{side}s"][at] if at < len(row[f"{side}s"]) else 0 for side in ("width", "height")}
    texts = {name: cut(block.get(name)) for name in ("alt", "caption")}
    score = number(block.get("score") or None)  # 0.0 means no score
    return {"kind": "image", "image": name, **texts, "score": score, **sides, "url": cut(block.get("image_url"))}
