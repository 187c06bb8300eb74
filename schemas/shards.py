"""What a shard holds: a plain WebDataset tar, beside it a Parquet index, and over all of them `shards.json`.

    shards/shards.json                          the listing: every shard with its counts, sizes and SHA-256 sums
    shards/interleaved/interleaved-00000.tar    KEY.json, KEY.0.jpg, KEY.1.jpg, ...
    shards/caption/caption-00000.tar            KEY.jpg, KEY.json, KEY.txt
    shards/text/text-00000.tar                  KEY.json, KEY.txt
    shards/validation/text-00000.tar            what is held out of a corpus, likewise
    shards/*/NAME.index.parquet                 one row for each sample: where its members lie, and what it measures
    shards/README.md, shards/croissant.json     what they are, for people and for machines, once `weft card` was run
    tokenizer/tokenizer.json                    beside them, once one was trained: what it says of itself, its Counted

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
VERSION = 2  # 2: `split`; who does not know it would learn from what is held out
TRAIN, VALIDATION = "train", "validation"
TOKENIZER, TOKENIZER_ABOUT = "tokenizer", "tokenizer.json"
MAX_MEMBER_BYTES = 256 << 20  # of a sample; Weft's own images have 20 MB at most (recipe: decode.max_bytes)
_MAX_SHARD_BYTES = 1 << 42
_TAR_BLOCK_BYTES = 512  # POSIX 1003.1, ustar: each member has a header of one block, and fills whole blocks
_PATH = re.compile(r"\w[\w .+=@,-]*", re.ASCII)  # one part of a path in the listing
_KEY = re.compile(r"[\w.+=@,-]{1,200}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PageFields(TypedDict):
    """What every sample's JSON says of the page that it came from."""

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
    score: float  # best CLIP score against the page's text; 0.0 when not scored


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
    split: str  # TRAIN, or VALIDATION: held out, samples of pages whose hosts stand in no other split
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
    """What a tokenizer made of the first samples of a corpus: `counted` in its tokenizer.json holds one for each."""

    samples: int
    characters: int  # as in the index
    tokens: int  # of the text; special tokens and image slots are not counted


MEMBER = pa.struct([pa.field("name", pa.string()), pa.field("offset", pa.int64()), pa.field("size", pa.int64())])

INDEX = Table(
    "index",
    "a sample of the shard, in the order of the tar",
    (
        Column("key", pa.string(), "key of the sample"),
        Column(
            "members", pa.list_(MEMBER), "name after the key ('json', '0.jpg'), offset of its bytes in the tar, size"
        ),
        Column("language", pa.string(), "ISO 639 code"),
        Column("host", pa.string(), "host of the page"),
        Column("num_words", pa.int32(), "words of the sample's text"),
        Column("num_characters", pa.int32(), "code points of the sample's text"),
        Column("widths", pa.list_(pa.int32()), "of its images, in order [pixels]"),
        Column("heights", pa.list_(pa.int32()), "of its images, in order [pixels]"),
        Column("scores", pa.list_(pa.float32()), "of its images, in order; empty when nothing was scored"),
    ),
)


def parse_listing(data: bytes, source: str) -> Listing:
    """Read `shards.json`, of which nothing is trusted; `source` is its path, for messages.

    Raises: IntegrityError, in one line with the remedy, when it is no listing of this version, or names a path that
        is not below its folder, a file twice, or counts and sizes that no shard can have.
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
            raise IntegrityError(f"{source} names a file twice")
    except IntegrityError as error:
        raise IntegrityError(f"{error}; `weft shard --overwrite` writes the shards again") from None
    found: Listing = listing
    return found


def check_links(root: str, names: Iterable[str]) -> None:
    """Check that no symbolic link leads from a local folder of shards to a file outside of it.

    Raises: PathError that names the first which does.
    """
    folder = os.path.realpath(root)
    for name in names:
        if not os.path.realpath(f"{folder}/{name}").startswith(folder.rstrip("/") + "/"):
            raise PathError(f"{root}/{name} is a symbolic link that leads out of the folder; copy the file there")


def parse_index(data: bytes, entry: ShardEntry, columns: Sequence[str] = ()) -> pa.Table:
    """Read a shard's index with the columns of INDEX, or those that are named, of which nothing is trusted.

    Raises: IntegrityError, in one line with the remedy, when it is no index, holds other samples than the listing
        says, or a name that no key and no member can have. Where members lie is for `check_members`.
    """
    name = entry["index"]
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        if file.metadata.num_rows != entry["num_samples"]:
            told = f"lists {file.metadata.num_rows} samples and {LISTING} {entry['num_samples']}"
            raise IntegrityError(f"{name} {told}")
        _check_num_values(file.metadata, entry)
        schema = INDEX.schema
        table = file.read(sorted({"key", "members", *columns} if columns else schema.names))
        table = table.select([n for n in schema.names if n in table.column_names])
        table = table.cast(pa.schema([schema.field(n) for n in table.column_names]))
        if table.num_rows != entry["num_samples"]:
            raise IntegrityError(f"{name} holds {table.num_rows} rows, its footer says {entry['num_samples']}")
        table.validate(full=True)
        _check_names(table, name)
    except IntegrityError as error:
        raise IntegrityError(f"{error}; `weft shard --overwrite` writes the shards again") from None
    except (OSError, ValueError, KeyError, MemoryError, pa.ArrowException) as error:
        raise IntegrityError(
            f"{name} is no index of a shard: {shorten(error)}; `weft shard --overwrite` writes the shards again"
        ) from None
    return table


def check_members(index: pa.Table, entry: ShardEntry) -> None:
    """Check that the members of a shard are in its tar one behind the other, each behind its header.

    Raises: IntegrityError that names the first sample of which a member is not.
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
        told = f"{flat.field('name')[at]} of {index['key'][row]} with {size[at]} bytes at {start[at]}"
        raise IntegrityError(
            f"{entry['index']}: {told} cannot be in a tar of {entry['num_bytes']} bytes, behind the member before; "
            "`weft shard --overwrite` writes the shards again"
        )


def check_index_sum(data: bytes, entry: ShardEntry) -> None:
    """Raise IntegrityError when an index is not the file that was written."""
    if hashlib.sha256(data).hexdigest() != entry["index_sha256"]:
        raise IntegrityError(
            f"{entry['index']} is not as it was written: its SHA-256 is not the listing's; copy the shards again"
        )


def check_blocks(fields: Any, source: str) -> list[Block]:
    """Return the blocks of an interleaved sample's JSON: of each its kind, its text and its image are checked.

    Raises: IntegrityError when they are not what `Block` says.
    """
    check_object(fields, InterleavedFields, source, ("blocks",))
    for number, block in enumerate(fields["blocks"]):
        check_object(block, Block, f"{source}, block {number}", ("kind", "text", "image"))
        if block["kind"] not in ("text", "image"):
            raise IntegrityError(f"{source}, block {number}: the kind is neither text nor image")
    blocks: list[Block] = fields["blocks"]
    return blocks


def _check_entry(entry: Any, source: str) -> None:
    check_object(entry, ShardEntry, source)
    if entry["corpus"] not in CORPORA:
        raise IntegrityError(f"{source}: there is no corpus {entry['corpus'][:40]!r}")
    if entry["split"] not in (TRAIN, VALIDATION):
        raise IntegrityError(f"{source}: there is no split {entry['split'][:40]!r}")
    for path in (entry["tar"], entry["index"]):
        if len(path) > 1000 or not all(_PATH.fullmatch(part) for part in path.split("/")):
            raise IntegrityError(f"{source}: {path[:100]!r} is not a path below the folder of the shards")
    if not 0 <= entry["num_bytes"] <= _MAX_SHARD_BYTES:
        raise IntegrityError(f"{source}: no tar has {entry['num_bytes']} bytes")
    for count in ("num_samples", "num_images"):
        if not 0 <= entry[count] * _TAR_BLOCK_BYTES <= entry["num_bytes"]:
            raise IntegrityError(f"{source}: {count} is {entry[count]}, in a tar of {entry['num_bytes']} bytes")
    for digest in (entry["sha256"], entry["index_sha256"]):
        if not _SHA256.fullmatch(digest):
            raise IntegrityError(f"{source}: {digest[:80]!r} is no SHA-256")


def _check_num_values(metadata: pq.FileMetaData, entry: ShardEntry) -> None:
    """Refuse an index that says more members than its tar has blocks, before any of them is read."""
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
        raise IntegrityError(f"{name}: {bad[0][:100]!r} is no name of a member")
    for number, key in enumerate(keys):
        if key is None or not _KEY.fullmatch(key):
            raise IntegrityError(f"{name}, row {number}: {str(key)[:100]!r} is no key of a sample")
    if len(set(keys)) != len(keys):
        raise IntegrityError(f"{name} has a key twice")
