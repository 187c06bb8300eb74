"""Examples for the report, chosen by hashes: dropped rows, clusters of near-duplicates, and samples of shards."""

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

from jobs.report_sources import ReportFiles, TableFiles, pick, read, scan
from jobs.step import map_batches
from pipeline.filter import text_of
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
    """Name a picture by its bytes, so that the same one is there once."""
    return digest("thumb", data)[:_KEY_CHARACTERS]


def thumb(data: bytes) -> bytes:
    """Make a small JPEG of a stored one; b'' of what is none, as a foreign shard may hold anything."""
    made = io.BytesIO()
    with suppress(Exception):  # decoders raise whatever they like on hostile bytes
        picture = Image.open(io.BytesIO(data), formats=["JPEG"])
        picture.draft("RGB", (MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
        small = picture.convert("RGB")
        small.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
        small.save(made, "JPEG", quality=QUALITY)
    return made.getvalue()


class Thumbs:
    """The thumbs of a report, as data URLs by key. `take` answers with the key, or '' for what no longer fits."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.left_bytes = 0

    def allow(self, num_bytes: int) -> None:
        """Set how much may be added from here on."""
        self.left_bytes = num_bytes

    def take(self, name: str, jpeg: bytes) -> str:
        """Add a thumb unless it is there, was never made, or is too much."""
        if name in self.urls:
            return name
        url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        if not jpeg or len(url) > self.left_bytes:
            return ""
        self.left_bytes -= len(url)
        self.urls[name] = url
        return name


WHOLE = -1  # asks for the first words of a page, where the index of a block asks for this block
MAX_CHARACTERS = 400
_TEXT = pa.schema([("page_id", pa.string()), ("block", pa.int32()), ("url", pa.string()), ("text", pa.string())])
_PICTURE = pa.schema([("image_id", pa.string()), ("url", pa.string()), ("key", pa.string()), ("thumb", pa.binary())])

Texts = dict[tuple[str, int], dict[str, Any]]
Pictures = dict[str, dict[str, Any]]


def cut(text: str | None, most: int = MAX_CHARACTERS) -> str:
    """Cut a text, and say so; None is ''."""
    text = text or ""
    return text if len(text) <= most else text[:most] + "…"


def find_texts(spark: SparkSession, sources: ReportFiles, wanted: Mapping[str, Set[int]]) -> Texts:
    """Return address and text of pages, or of blocks of theirs, by id and block; what is not there is left out."""
    store = sources.store

    def texts(source: TableFiles) -> Batches:
        for batch in pick(store, source.path, "page_id", wanted, ["url", "blocks"]):
            rows = []
            for page in batch.to_pylist():
                for block in wanted[page["page_id"]]:
                    if block < len(page["blocks"]):
                        words = text_of(page["blocks"]) if block == WHOLE else page["blocks"][block]["text"]
                        rows.append({**page, "block": block, "text": cut(words)})
            yield pa.RecordBatch.from_pylist(rows, schema=_TEXT)

    files = sources.of(PAGES) if wanted else []
    return {(row["page_id"], row["block"]): row.asDict() for row in scan(spark, files, texts, _TEXT).collect()}


def find_pictures(spark: SparkSession, sources: ReportFiles, wanted: Set[str]) -> Pictures:
    """Return address, key and thumb of images by id; one that is not stored has b'' for a thumb."""
    store = sources.store

    def pictures(source: TableFiles) -> Batches:
        for batch in pick(store, source.path, "image_id", wanted, ["image_url", "bytes"]):
            rows = [
                {
                    "image_id": image["image_id"],
                    "url": image["image_url"],
                    "key": key(image["bytes"] or b""),
                    "thumb": thumb(image["bytes"] or b""),
                }
                for image in batch.to_pylist()
            ]
            yield pa.RecordBatch.from_pylist(rows, schema=_PICTURE)

    files = sources.of(IMAGES) if wanted else []
    return {row["image_id"]: row.asDict() for row in scan(spark, files, pictures, _PICTURE).collect()}


MAX_EXAMPLES = 4  # of a rule
HIDDEN = ("UNSAFE_IMAGE",)  # nobody asked to see these
_TIES = (*CAPTURE, "block", "image_id", "url", "detail", "measure", "threshold")
_CHOSEN = pa.schema(
    [
        pa.field("thing", pa.string()),
        pa.field("order", pa.string()),
        *(f.with_nullable(True) for f in REJECTIONS.schema),
    ]
)

Row = dict[str, Any]


def choose_examples(spark: SparkSession, sources: ReportFiles) -> dict[tuple[str, str], list[Row]]:
    """Return rows of the ledger by step and rule, of each rule some things, each thing once."""
    store, seed = sources.store, sources.seed
    columns = [column.name for column in REJECTIONS.columns]

    def first(source: TableFiles) -> Batches:
        for batch in read(store, source.path, columns):
            for rule in pc.unique(batch["rule"]).to_pylist():
                yield _first_things(batch.filter(pc.equal(batch["rule"], rule)), seed, rule)

    frame = scan(spark, sources.rejections(), first, _CHOSEN)
    once = f"row_number() over (partition by step, rule, thing order by {', '.join(_TIES)}) as row"
    few = "row_number() over (partition by step, rule order by order, thing) as rank"
    chosen = frame.selectExpr("*", once).where("row = 1").selectExpr("*", few).where(f"rank <= {MAX_EXAMPLES}")
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
    first = heapq.nsmallest(MAX_EXAMPLES, orders, key=lambda name: (orders[name], name))
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


MAX_CLUSTERS = 8  # of a rule
MEMBERS = 5  # of a cluster, beside the one that stays
KINDS = {
    "DUPLICATE_URL": "pages",
    "DUPLICATE_TEXT": "pages",
    "NEAR_DUPLICATE_TEXT": "pages",
    "DUPLICATE_IMAGE_SET": "pages",
    "DUPLICATE_IMAGE": "images",
    "NEAR_DUPLICATE_IMAGE": "images",
}
"""The rules that name who stays: a page, or an image."""

_MEMBER = pa.schema([(name, pa.string()) for name in ("rule", "survivor", "id", "url")])
_STAY = "stay:"  # of near-duplicates that all stay no one is the survivor

Cluster = dict[str, Any]


def choose_clusters(spark: SparkSession, sources: ReportFiles) -> list[Cluster]:
    """Return the largest clusters with `kind`, `rule`, `size`, `survivor` ('' where all stay), and `members`.

    Members are pairs of id and address ('' where it is not known), chosen by a hash.
    """
    store, seed = sources.store, sources.seed

    def members(source: TableFiles) -> Batches:
        if source.kind == "rejections":
            columns = ["rule", "detail", "page_id", "image_id", "url"]
            for batch in read(store, source.path, columns):
                told = batch.filter(pc.is_in(batch["rule"], pa.array(list(KINDS))))
                ids = pc.coalesce(told["image_id"], told["page_id"])
                yield pa.RecordBatch.from_arrays([told["rule"], told["detail"], ids, told["url"]], schema=_MEMBER)
        else:
            for batch in read(store, source.path, ["image_id", "cluster"]):
                rule, url = (pa.array([text] * len(batch), pa.string()) for text in ("NEAR_DUPLICATE_IMAGE", ""))
                names = pc.binary_join_element_wise(_STAY, batch["cluster"], "")
                yield pa.RecordBatch.from_arrays([rule, names, batch["image_id"], url], schema=_MEMBER)

    found = scan(spark, [*sources.rejections("dedup"), *sources.near_duplicate_images()], members, _MEMBER)
    found = found.where("survivor is not null and id is not null")
    found = found.groupBy("rule", "survivor", "id").agg(F.coalesce(F.min("url"), F.lit("")).alias("url")).persist()
    sizes = found.groupBy("rule", "survivor").agg(F.count("*").alias("num"))
    largest = "row_number() over (partition by rule order by num desc, survivor) as place"
    top = sizes.selectExpr("*", largest).where(f"place <= {MAX_CLUSTERS}")
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


MAX_BLOCKS = 60
MAX_BLOCK_CHARACTERS = 2000
MAX_SAMPLE_CHARACTERS = 20_000  # of all texts of a sample
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
    """Return at most num samples of each corpus, each with the thumbs of its images in their order.

    `image` of a block is the key of its thumb. A sample that cannot be read is left out: `weft verify` tells of it.
    """
    chosen = _choose(spark, sources, num)
    tasks = int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    rows = map_batches(chosen.repartition(tasks, "order"), _reader(sources.store), _READ).collect()
    rows.sort(key=lambda r: (CORPORA.index(r["corpus"]), r["order"], r["key"]))
    return [(json.loads(row["sample"]), [bytes(t) for t in row["thumbs"]]) for row in rows]


def place_thumbs(samples: list[tuple[Row, list[bytes]]], thumbs: Thumbs) -> list[Row]:
    """Return the samples without keys of thumbs that do not fit: first images come first, so that each has its own."""
    pictures = [[b for b in sample["blocks"] if b["kind"] == "image"] for sample, _ in samples]
    for position in range(max(map(len, pictures), default=0)):
        for blocks, (_, made) in zip(pictures, samples, strict=True):
            if position < len(blocks):
                blocks[position]["image"] = thumbs.take(blocks[position]["image"], made[position])
    return [sample for sample, _ in samples]


def _choose(spark: SparkSession, sources: ReportFiles, num: int) -> DataFrame:
    store, seed = sources.store, sources.seed
    shards = {path: (s["corpus"], s["split"], sources.tar(s)) for path, s in sources.indexes().items()}

    def first(source: TableFiles) -> Batches:
        corpus, split, tar = shards[source.path]
        whose = {"corpus": corpus, "split": split, "tar": tar}
        for batch in read(store, source.path, [field.name for field in _INDEX]):
            orders = [digest("report", str(seed), name) for name in batch["key"].to_pylist()]
            least = heapq.nsmallest(num, range(len(orders)), key=orders.__getitem__)
            rows = batch.take(pa.array(least, pa.int64())).to_pylist()
            made = [{**row, **whose, "order": orders[at]} for row, at in zip(rows, least, strict=True)]
            yield pa.RecordBatch.from_pylist(made, schema=_CHOSEN_SAMPLES)

    files = [TableFiles("index", corpus, path) for path, (corpus, _, _) in shards.items()] if num else []
    rank = "row_number() over (partition by corpus order by order, key) as rank"
    return scan(spark, files, first, _CHOSEN_SAMPLES).selectExpr("*", rank).where(f"rank <= {num}").drop("rank")


def _reader(store: Store) -> Any:
    def run(batches: Batches) -> Batches:
        for batch in batches:
            for row in batch.to_pylist():
                try:
                    sample, pictures = read_sample(store, row)
                except (OSError, ValueError, KeyError, TypeError, AttributeError, IntegrityError):  # may hold anything
                    continue
                told = {name: row[name] for name in ("corpus", "order", "key")}
                made = {**told, "sample": json.dumps(sample), "keys": [], "thumbs": [thumb(p) for p in pictures]}
                yield pa.RecordBatch.from_pylist([made], schema=_READ)

    return run


def read_sample(store: Store, row: Row) -> tuple[Row, list[bytes]]:
    """Read one sample by its row of the index, with `corpus`, `split` and `tar`; return it and its images."""
    places = {m["name"]: (m["offset"], m["offset"] + m["size"]) for m in row["members"]}

    def member(name: str) -> bytes:
        start, end = places[name]
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
    told: list[Row] = []
    pictures: list[bytes] = []
    left = MAX_SAMPLE_CHARACTERS
    for block, name in blocks[:MAX_BLOCKS]:
        if block["kind"] == "image":
            pictures.append(member(name))
            told.append(_picture(block, row, len(pictures) - 1, key(pictures[-1])))
        elif left > 0:
            told.append({"kind": "text", "text": cut(block["text"], min(left, MAX_BLOCK_CHARACTERS))})
            left -= len(told[-1]["text"])
    about = {name: cut(str(fields.get(name, ""))) for name in ("url", "title", "captured_at")}
    known = {name: row[name] for name in ("key", "corpus", "split", "host", "language", "num_words")}
    return {**known, **about, "blocks": told}, pictures


def _picture(block: Row, row: Row, at: int, name: str) -> Row:
    sides = {side: row[f"{side}s"][at] if at < len(row[f"{side}s"]) else 0 for side in ("width", "height")}
    words = {name: cut(block.get(name)) for name in ("alt", "caption")}
    score = number(block.get("score") or None)  # 0.0 stands for none
    return {"kind": "image", "image": name, **words, "score": score, **sides, "url": cut(block.get("image_url"))}
