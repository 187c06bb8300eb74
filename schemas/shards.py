"""The shard format: WebDataset tars, a Parquet index beside each, and the listing `shards.json`.

    shards/shards.json                          the listing: every shard with its counts, sizes and SHA-256 sums
    shards/interleaved/interleaved-00000.tar    KEY.json, KEY.0.jpg, KEY.1.jpg, ...
    shards/caption/caption-00000.tar            KEY.jpg, KEY.json, KEY.txt
    shards/text/text-00000.tar                  KEY.json, KEY.txt
    shards/validation/text-00000.tar            held-out samples of a corpus, in the same format
    shards/*/NAME.index.parquet                 one row per sample: offsets of its members, and its measures
    shards/README.md, shards/croissant.json     data card and Croissant metadata, written by `weft card`
    tokenizer/tokenizer.json                    next to shards/, once trained: the tokenizer's metadata with Counted

The JSON never holds null, and a key always has the same type: readers that infer a schema from the first samples
(Hugging Face datasets) would otherwise fail on a later one. Unknown strings are "", unknown numbers 0.
"""

import hashlib
import io
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.display import shorten
from schemas.errors import IntegrityError, PathError
from schemas.integrity import check_object, parse_json
from schemas.tables import CORPORA, Column, Table

LISTING = "shards.json"
CARD, CROISSANT = "README.md", "croissant.json"
REPORT = "report.html"  # in the output of a run, or in a shards folder
VERSION = 2  # 2 added `split`; a reader of version 1 would train on held-out samples
TRAIN, VALIDATION = "train", "validation"
TOKENIZER, TOKENIZER_ABOUT = "tokenizer", "tokenizer.json"
MAX_MEMBER_BYTES = 256 << 20  # Weft's own images have at most 20 MB (recipe: decode.max_bytes)
_MAX_SHARD_BYTES = 1 << 42
_TAR_BLOCK_BYTES = 512  # POSIX 1003.1, ustar: each member has a one-block header and is padded to full blocks
_PATH = re.compile(r"\w[\w .+=@,-]*", re.ASCII)  # one part of a path in the listing
_KEY = re.compile(r"[\w.+=@,-]{1,200}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PageFields(TypedDict):
    """Fields of every sample's JSON about its page."""

    key: str
    page_id: str
    url: str
    host: str
    captured_at: str
    language: str
    language_score: float
    title: str


class Block(TypedDict):
    """One block of an interleaved document. `image` names the member: block 3 with image "0.jpg" is KEY.0.jpg."""

    kind: str  # "text" or "image"
    text: str  # "" in image blocks
    image: str  # "" in text blocks
    image_id: str
    image_url: str
    alt: str
    caption: str
    score: float  # best CLIP score with the page's text; 0.0 when not scored


class InterleavedFields(PageFields):
    num_images: int
    num_words: int
    blocks: list[Block]


class CaptionFields(PageFields):
    image_id: str
    image_url: str
    sha256: str
    width: int
    height: int
    score: float


class TextFields(PageFields):
    num_words: int


class ShardEntry(TypedDict):
    """One shard in `shards.json`; paths are relative to it."""

    corpus: str
    split: str  # TRAIN, or VALIDATION: held-out samples; no host occurs in both
    tar: str
    index: str
    num_samples: int
    num_images: int
    num_bytes: int
    sha256: str
    index_sha256: str


class Listing(TypedDict):
    version: int
    shards: list[ShardEntry]


class Counted(TypedDict):
    """Token counts of the first samples of a corpus; `counted` in tokenizer.json holds one per corpus."""

    samples: int
    characters: int  # as in the index
    tokens: int  # of the text, without special tokens and image tokens


MEMBER = pa.struct([pa.field("name", pa.string()), pa.field("offset", pa.int64()), pa.field("size", pa.int64())])

INDEX = Table(
    "index",
    "a sample of the shard, in tar order",
    (
        Column("key", pa.string(), "key of the sample"),
        Column("members", pa.list_(MEMBER), "name after the key ('json', '0.jpg'), offset in the tar and size [bytes]"),
        Column("language", pa.string(), "ISO 639 code"),
        Column("host", pa.string(), "host of the page"),
        Column("num_words", pa.int32(), "words of the sample's text"),
        Column("num_characters", pa.int32(), "code points of the sample's text"),
        Column("widths", pa.list_(pa.int32()), "widths of its images, in order [pixels]"),
        Column("heights", pa.list_(pa.int32()), "heights of its images, in order [pixels]"),
        Column("scores", pa.list_(pa.float32()), "CLIP scores of its images, in order; empty when not scored"),
    ),
)


def parse_listing(data: bytes, source: str) -> Listing:
    """Parse and validate an untrusted `shards.json`; `source` is its path, for messages.

    Raises: IntegrityError, in one line with the remedy, when it is not a listing of this version, or names a path
        outside its folder, a duplicate file, or impossible counts and sizes.
    """
    try:
        listing = parse_json(data, source)
        check_object(listing, Listing, source, ("version",))
        if listing["version"] != VERSION:
            raise IntegrityError(f"{source} has version {listing['version']}, this release reads {VERSION}")
        check_object(listing, Listing, source)
        paths: set[str] = set()
        for number, entry in enumerate(listing["shards"]):
            _check_entry(entry, f"{source}: shard {number}")
            paths |= {entry["tar"], entry["index"]}
        if len(paths) != 2 * len(listing["shards"]):
            raise IntegrityError(f"{source} has a duplicate file name")
    except IntegrityError as error:
        raise IntegrityError(f"{error}; `weft shard --overwrite` writes the shards again") from None
    found: Listing = listing
    return found


def check_links(root: str, names: Iterable[str]) -> None:
    """Check that no symbolic link in a local folder of shards points outside it.

    Raises: PathError that names the first one that does.
    """
    folder = os.path.realpath(root)
    for name in names:
        if not os.path.realpath(f"{folder}/{name}").startswith(folder.rstrip("/") + "/"):
            raise PathError(f"{root}/{name} is a symbolic link to a file outside the folder; copy the file into it")


def parse_index(data: bytes, entry: ShardEntry, columns: Sequence[str] = ()) -> pa.Table:
    """Parse and validate a shard's untrusted index: all columns of INDEX, or key, members and those in `columns`.

    Raises: IntegrityError, in one line with the remedy, when it is not an index, its number of samples differs from
        the listing, or a key or member name is invalid. `check_members` checks the offsets.
    """
    name = entry["index"]
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        if file.metadata.num_rows != entry["num_samples"]:
            counts = f"{file.metadata.num_rows} samples and {LISTING} {entry['num_samples']}"
            raise IntegrityError(f"{name} lists {counts}")
        _check_num_values(file.metadata, entry)
        schema = INDEX.schema
        table = file.read(sorted({"key", "members", *columns} if columns else schema.names))
        table = table.select([n for n in schema.names if n in table.column_names])
        table = table.cast(pa.schema([schema.field(n) for n in table.column_names]))
        if table.num_rows != entry["num_samples"]:
            raise IntegrityError(f"{name} holds {table.num_rows} rows, and its footer {entry['num_samples']}")
        table.validate(full=True)
        _check_names(table, name)
    except IntegrityError as error:
        raise IntegrityError(f"{error}; `weft shard --overwrite` writes the shards again") from None
    except (OSError, ValueError, KeyError, MemoryError, pa.ArrowException) as error:
        raise IntegrityError(
            f"{name} is not an index of a shard: {shorten(error)}; `weft shard --overwrite` writes the shards again"
        ) from None
    return table


def check_members(index: pa.Table, entry: ShardEntry) -> None:
    """Check that a shard's members follow each other in its tar, each after its header.

    Raises: IntegrityError that names the first sample with an invalid member.
    """
    members = index["members"].combine_chunks()
    flat = members.flatten()
    start, size = (flat.field(n).to_numpy(zero_copy_only=False) for n in ("offset", "size"))
    inside = (start >= _TAR_BLOCK_BYTES) & (start <= entry["num_bytes"]) & (size <= entry["num_bytes"])
    if inside.all():
        ends = start + size
        before = np.concatenate([[0], ends[:-1] + -ends[:-1] % _TAR_BLOCK_BYTES])
        inside = (ends <= entry["num_bytes"]) & (start >= before + _TAR_BLOCK_BYTES) & (start % _TAR_BLOCK_BYTES == 0)
    if not inside.all():
        at = int(np.flatnonzero(~inside)[0])
        row = int(np.searchsorted(np.cumsum(pc.list_value_length(members).to_numpy()), at, side="right"))
        member = f"{flat.field('name')[at]} of {index['key'][row]} with {size[at]} bytes at {start[at]}"
        raise IntegrityError(
            f"{entry['index']}: {member} does not fit after the previous member in a tar of {entry['num_bytes']} "
            "bytes; `weft shard --overwrite` writes the shards again"
        )


def check_index_sum(data: bytes, entry: ShardEntry) -> None:
    """Raise IntegrityError when an index does not match its checksum in the listing."""
    if hashlib.sha256(data).hexdigest() != entry["index_sha256"]:
        raise IntegrityError(
            f"{entry['index']} has changed since it was written: its SHA-256 differs from the listing; "
            "copy the shards again"
        )


def check_blocks(fields: Any, source: str) -> list[Block]:
    """Return the blocks of an interleaved sample's JSON after checking the kind, text and image of each.

    Raises: IntegrityError when a block does not conform to `Block`.
    """
    check_object(fields, InterleavedFields, source, ("blocks",))
    for number, block in enumerate(fields["blocks"]):
        check_object(block, Block, f"{source}, block {number}", ("kind", "text", "image"))
        if block["kind"] not in ("text", "image"):
            raise IntegrityError(f"{source}, block {number}: kind must be text or image")
    blocks: list[Block] = fields["blocks"]
    return blocks


def _check_entry(entry: Any, source: str) -> None:
    check_object(entry, ShardEntry, source)
    if entry["corpus"] not in CORPORA:
        raise IntegrityError(f"{source}: unknown corpus {entry['corpus'][:40]!r}")
    if entry["split"] not in (TRAIN, VALIDATION):
        raise IntegrityError(f"{source}: unknown split {entry['split'][:40]!r}")
    for path in (entry["tar"], entry["index"]):
        if len(path) > 1000 or not all(_PATH.fullmatch(part) for part in path.split("/")):
            raise IntegrityError(f"{source}: {path[:100]!r} is not a path inside the shards folder")
    if not 0 <= entry["num_bytes"] <= _MAX_SHARD_BYTES:
        raise IntegrityError(f"{source}: {entry['num_bytes']} bytes is not a valid tar size")
    for count in ("num_samples", "num_images"):
        if not 0 <= entry[count] * _TAR_BLOCK_BYTES <= entry["num_bytes"]:
            raise IntegrityError(f"{source}: {count} is {entry[count]}, in a tar of {entry['num_bytes']} bytes")
    for digest in (entry["sha256"], entry["index_sha256"]):
        if not _SHA256.fullmatch(digest):
            raise IntegrityError(f"{source}: {digest[:80]!r} is not a SHA-256")


def _check_num_values(metadata: pq.FileMetaData, entry: ShardEntry) -> None:
    """Reject an index that declares more members than its tar has blocks, before reading them."""
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            if column.num_values > entry["num_bytes"] // _TAR_BLOCK_BYTES + entry["num_samples"]:
                raise IntegrityError(f"{entry['index']}: {column.path_in_schema} has {column.num_values} values")


def _check_names(table: pa.Table, name: str) -> None:
    keys = table["key"].to_pylist()
    members = pc.list_flatten(table["members"])
    fields = [pc.struct_field(members, n) for n in ("name", "offset", "size")]
    if any(column.null_count for column in (table["members"], members, *fields)):
        raise IntegrityError(f"{name}: a member is null")
    if len(members) and pc.min(fields[2]).as_py() < 0:
        raise IntegrityError(f"{name}: a member has {pc.min(fields[2]).as_py()} bytes")
    if bad := [member for member in pc.unique(fields[0]).to_pylist() if not _KEY.fullmatch(member)]:
        raise IntegrityError(f"{name}: {bad[0][:100]!r} is not a valid member name")
    for number, key in enumerate(keys):
        if key is None or not _KEY.fullmatch(key):
            raise IntegrityError(f"{name}, row {number}: {str(key)[:100]!r} is not a valid sample key")
    if len(set(keys)) != len(keys):
        raise IntegrityError(f"{name} has a duplicate key")
