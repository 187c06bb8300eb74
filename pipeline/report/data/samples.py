"""Samples of each corpus, chosen by a hash of their keys, and read from where their members lie in the tars."""

import heapq
import json
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from pipeline.report.data.examples import number
from pipeline.report.data.found import cut
from pipeline.report.data.scan import Batches, read, scan
from pipeline.report.data.sources import Source, Sources
from pipeline.report.data.thumbs import Thumbs, key, thumb
from pipeline.spark import map_batches
from pipeline.store import Store
from schemas.errors import IntegrityError
from schemas.ids import digest
from schemas.shards import INDEX, MAX_MEMBER_BYTES
from schemas.strict_json import parse_json
from schemas.tables import CORPORA

MAX_BLOCKS = 60
MAX_BLOCK_CHARACTERS = 2000
MAX_CHARACTERS = 20_000  # of all texts of a sample
_INDEX = [field.with_nullable(True) for field in INDEX.schema if field.name != "num_characters"]
_CHOSEN = pa.schema([*((name, pa.string()) for name in ("corpus", "split", "tar", "order")), *_INDEX])
_READ = pa.schema(
    [
        *((name, pa.string()) for name in ("corpus", "order", "key", "sample")),
        ("keys", pa.list_(pa.string())),
        ("thumbs", pa.list_(pa.binary())),
    ]
)

Row = dict[str, Any]


def read_samples(spark: SparkSession, sources: Sources, num: int) -> list[tuple[Row, list[bytes]]]:
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


def _choose(spark: SparkSession, sources: Sources, num: int) -> DataFrame:
    store, seed = sources.store, sources.seed
    shards = {path: (s["corpus"], s["split"], sources.tar(s)) for path, s in sources.indexes().items()}

    def first(source: Source) -> Batches:
        corpus, split, tar = shards[source.path]
        whose = {"corpus": corpus, "split": split, "tar": tar}
        for batch in read(store, source.path, [field.name for field in _INDEX]):
            orders = [digest("report", str(seed), name) for name in batch["key"].to_pylist()]
            least = heapq.nsmallest(num, range(len(orders)), key=orders.__getitem__)
            rows = batch.take(pa.array(least, pa.int64())).to_pylist()
            made = [{**row, **whose, "order": orders[at]} for row, at in zip(rows, least, strict=True)]
            yield pa.RecordBatch.from_pylist(made, schema=_CHOSEN)

    files = [Source("index", corpus, path) for path, (corpus, _, _) in shards.items()] if num else []
    rank = "row_number() over (partition by corpus order by order, key) as rank"
    return scan(spark, files, first, _CHOSEN).selectExpr("*", rank).where(f"rank <= {num}").drop("rank")


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
    left = MAX_CHARACTERS
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
