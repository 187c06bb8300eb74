"""Write sorted rows of documents and images to WebDataset tars with an index beside each."""

import hashlib
import io
import itertools
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.filter import join_text
from pipeline.io.store import NewFile, Store
from schemas.shards import (
    INDEX,
    TRAIN,
    VALIDATION,
    Block,
    CaptionFields,
    InterleavedFields,
    PageFields,
    ShardEntry,
    TextFields,
)
from schemas.tables import DOCUMENTS, Batches, fraction, order

ORDERED = pa.schema([pa.field(name, pa.string()) for name in ("key", "corpus", "split", "order")])


def shuffle_keys(seed: int, validation_fraction: float) -> Callable[[Batches], Batches]:
    """Return the function that turns batches with key, corpus and host into batches of ORDERED.

    Sorted by `order`, documents are in a random order that only depends on the seed and their keys.
    """

    def run(batches: Batches) -> Batches:
        for batch in batches:
            splits = [split_of(host, validation_fraction) for host in batch["host"].to_pylist()]
            orders = [order(seed, key) for key in batch["key"].to_pylist()]
            columns = [batch["key"], batch["corpus"], pa.array(splits, pa.string()), pa.array(orders, pa.string())]
            yield pa.RecordBatch.from_arrays(columns, schema=ORDERED)

    return run


def split_of(host: str, validation_fraction: float) -> str:
    """Return the split of all pages of a host, the same in every run.

    Hosts are held out completely: a page's document and captions share its images, and pages of a host share images,
    phrases and layout. A larger fraction holds out the same hosts and more.
    """
    return VALIDATION if fraction(0, "validation", host) < validation_fraction else TRAIN


@dataclass(frozen=True)
class Picture:
    """A stored image: the columns of `images` that a sample needs."""

    image_id: str
    sha256: str
    width: int
    height: int
    data: bytes


@dataclass(frozen=True)
class ShardSample:
    key: str
    members: list[tuple[str, bytes]]  # names after the key, in the order of the tar
    index: dict[str, Any]  # columns of schemas.shards.INDEX except `members`


def make_sample(document: dict[str, Any], pictures: list[Picture]) -> ShardSample:
    """Make the sample of a row of `documents`; pictures holds its images in the order of its image blocks."""
    make = {"interleaved": _interleaved, "caption": _caption, "text": _text}[document["corpus"]]
    text = join_text(document["blocks"])
    scores = [b["score"] for b in document["blocks"] if b["kind"] == "image"]
    index = {
        "key": document["key"],
        "language": document["language"],
        "host": document["host"],
        "num_words": len(text.split()),
        "num_characters": len(text),
        "widths": [p.width for p in pictures],
        "heights": [p.height for p in pictures],
        "scores": [s for s in scores if s is not None],
    }
    return ShardSample(document["key"], make(document, text, pictures), index)


def _interleaved(document: dict[str, Any], text: str, pictures: list[Picture]) -> list[tuple[str, bytes]]:
    blocks: list[Block] = []
    num_images = 0
    for b in document["blocks"]:
        image = ""
        if b["kind"] == "image":
            image = f"{num_images}.jpg"
            num_images += 1
        blocks.append(
            {
                "kind": b["kind"],
                "text": b["text"] or "",
                "image": image,
                "image_id": b["image_id"] or "",
                "image_url": b["image_url"] or "",
                "alt": b["alt"] or "",
                "caption": b["caption"] or "",
                "score": _number(b["score"]),
            }
        )
    fields: InterleavedFields = {
        **_page(document),
        "num_images": num_images,
        "num_words": len(text.split()),
        "blocks": blocks,
    }
    return [_json(fields), *((f"{i}.jpg", p.data) for i, p in enumerate(pictures))]


def _caption(document: dict[str, Any], text: str, pictures: list[Picture]) -> list[tuple[str, bytes]]:
    block, picture = document["blocks"][0], pictures[0]
    fields: CaptionFields = {
        **_page(document),
        "image_id": picture.image_id,
        "image_url": block["image_url"],
        "sha256": picture.sha256,
        "width": picture.width,
        "height": picture.height,
        "score": _number(block["score"]),
    }
    return [("jpg", picture.data), _json(fields), ("txt", text.encode())]


def _text(document: dict[str, Any], text: str, pictures: list[Picture]) -> list[tuple[str, bytes]]:
    fields: TextFields = {**_page(document), "num_words": len(text.split())}
    return [_json(fields), ("txt", text.encode())]


def _page(document: dict[str, Any]) -> PageFields:
    return {
        "key": document["key"],
        "page_id": document["page_id"],
        "url": document["url"],
        "host": document["host"],
        "captured_at": document["captured_at"],
        "language": document["language"],
        "language_score": _number(document["language_score"]),
        "title": document["title"],
    }


def _number(value: float | None) -> float:
    return round(value, 4) if value is not None else 0.0  # avoids float32 artifacts such as 0.30000001192…


def _json(fields: object) -> tuple[str, bytes]:
    return "json", json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


_RECORD_BYTES = 10_240  # tar files end on a multiple of this (POSIX 1003.1, ustar interchange format)


def header(name: str, size: int) -> bytes:
    """Return a member's header. It has no time, owner or machine, so equal samples have equal bytes."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


class ShardWriter:
    """Writes the samples of a shard; `close` publishes the shard and its index."""

    def __init__(self, store: Store, corpus: str, split: str, number: int) -> None:
        self.store, self.corpus, self.split = store, corpus, split
        within = corpus if split == TRAIN else split
        self.name = f"{within}/{corpus}-{number:05d}"
        self.file = NewFile(store, store.at("shards", f"{self.name}.tar"))
        self.rows: list[dict[str, Any]] = []

    def add(self, sample: ShardSample) -> None:
        """Append a sample's members."""
        members = []
        for name, data in sample.members:
            self.file.write(header(f"{sample.key}.{name}", len(data)))
            members.append({"name": name, "offset": self.file.num_bytes, "size": len(data)})
            self.file.write(data)
            self.file.write(bytes(-len(data) % tarfile.BLOCKSIZE))
        self.rows.append({**sample.index, "members": members})

    def close(self) -> ShardEntry:
        """End the tar, write its index, and return the shard's entry in the listing."""
        self.file.write(bytes(2 * tarfile.BLOCKSIZE))
        self.file.write(bytes(-self.file.num_bytes % _RECORD_BYTES))
        index = self._index()
        self.store.write(self.store.at("shards", f"{self.name}.index.parquet"), index)
        self.file.publish()
        return {
            "corpus": self.corpus,
            "split": self.split,
            "tar": f"{self.name}.tar",
            "index": f"{self.name}.index.parquet",
            "num_samples": len(self.rows),
            "num_images": sum(len(r["widths"]) for r in self.rows),
            **self.file.sum,
            "index_sha256": hashlib.sha256(index).hexdigest(),
        }

    def discard(self) -> None:
        """End without a shard."""
        self.file.discard()

    def _index(self) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_batches([INDEX.batch(self.rows)]), buffer, compression="zstd")
        return buffer.getvalue()


PLACE = (
    pa.field("corpus", pa.string()),
    pa.field("split", pa.string()),
    pa.field("shard", pa.int64()),
    pa.field("lead", pa.bool_()),
    pa.field("order", pa.string()),
    pa.field("key", pa.string()),
    pa.field("position", pa.int32()),
)
"""The place of a row in the shards. Position -1 is the document, 0 and up are its images."""

ROWS = pa.schema(
    [
        *PLACE,
        pa.field("document", pa.struct([f.remove_metadata() for f in DOCUMENTS.schema])),
        pa.field("image_id", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("bytes", pa.binary()),
    ]
)

ENTRIES = pa.schema(
    [
        *(pa.field(n, pa.string()) for n in ("corpus", "split", "tar", "index")),
        *(pa.field(n, pa.int64()) for n in ("num_samples", "num_images", "num_bytes")),
        *(pa.field(n, pa.string()) for n in ("sha256", "index_sha256")),
    ]
)


def write_shards(store: Store) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of ROWS, sorted by PLACE, into batches of ENTRIES.

    A partition may hold several complete shards. Memory holds one sample and one shard's index.
    """

    def run(batches: Batches) -> Batches:
        entries = []
        samples = _samples(row for batch in batches for row in batch.to_pylist())
        for place, group in itertools.groupby(samples, key=_place):
            writer = ShardWriter(store, *place)
            try:
                for document, pictures in group:
                    writer.add(make_sample(document["document"], pictures))
                entries.append(writer.close())
            except BaseException:
                writer.discard()
                raise
        yield pa.RecordBatch.from_pylist([dict(e) for e in entries], schema=ENTRIES)

    return run


def _place(sample: tuple[dict[str, Any], list[Picture]]) -> tuple[str, str, int]:
    """Return the shard of a sample: corpus, split, number."""
    return sample[0]["corpus"], sample[0]["split"], sample[0]["shard"]


def _samples(rows: Iterator[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], list[Picture]]]:
    """Group sorted rows: a document row and the image rows after it."""
    document: dict[str, Any] | None = None
    pictures: list[Picture] = []
    for row in rows:
        if row["position"] < 0:
            if document is not None:
                yield document, pictures
            document, pictures = row, []
        else:
            pictures.append(Picture(row["image_id"], row["sha256"], row["width"], row["height"], row["bytes"]))
    if document is not None:
        yield document, pictures
