"""Shards as a sequence of samples: the listing and the indexes say where every byte lies, so that no tar is scanned."""

import bisect
import itertools
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from schemas.errors import IntegrityError, PathError
from schemas.ids import digest
from schemas.shards import INDEX, LISTING, VERSION, Block, ShardEntry
from schemas.tables import CORPORA

MAX_OPEN_INDEXES = 64  # Parquet indexes of one corpus that stay in memory


@dataclass(frozen=True)
class Sample:
    """A sample of a shard: its members by their name after the key, each with (offset, size) in the tar [bytes]."""

    key: str
    tar: str
    members: dict[str, tuple[int, int]]


class Corpus:
    """The samples of one corpus, in the order of the listing; read one by one, by a seek."""

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str, name: str, entries: list[ShardEntry]) -> None:
        self.name = name
        self._fs, self._root, self._entries = fs, root, entries
        self._ends = list(itertools.accumulate(e["num_samples"] for e in entries))
        self._indexes: OrderedDict[int, pa.Table] = OrderedDict()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def sample(self, number: int) -> Sample:
        """Look a sample up in its shard's index, without reading any of it."""
        shard = bisect.bisect_right(self._ends, number)
        first = self._ends[shard - 1] if shard else 0
        row = self._index(shard).slice(number - first, 1).to_pylist()[0]
        members = {m["name"]: (m["offset"], m["size"]) for m in row["members"]}
        return Sample(row["key"], self._entries[shard]["tar"], members)

    def read(self, sample: Sample, member: str) -> bytes:
        """Read one member of a sample.

        Raises: IntegrityError when the sample has no such member or the tar ends before it.
        """
        if member not in sample.members:
            raise IntegrityError(f"sample {sample.key} of {sample.tar} has no member {member!r}")
        offset, size = sample.members[member]
        data: bytes = self._fs.cat_file(f"{self._root}/{sample.tar}", start=offset, end=offset + size)
        if len(data) != size:
            raise IntegrityError(f"{self._root}/{sample.tar} ends inside {sample.key}.{member}; copy the shard again")
        return data

    def text(self, sample: Sample) -> str:
        """Read the text of a text or caption sample.

        Raises: IntegrityError when it is not UTF-8.
        """
        try:
            return self.read(sample, "txt").decode("utf-8")
        except UnicodeDecodeError as error:
            raise IntegrityError(f"sample {sample.key} of {sample.tar} is not UTF-8: {error.reason}") from error

    def blocks(self, sample: Sample) -> list[Block]:
        """Read the blocks of an interleaved sample.

        Raises: IntegrityError when its JSON is broken or names an image that the sample does not hold.
        """
        try:
            blocks: list[Block] = json.loads(self.read(sample, "json"))["blocks"]
            unknown = {b["image"] for b in blocks if b["kind"] == "image"} - sample.members.keys()
            all_text = all(isinstance(b["text"], str) for b in blocks)
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"the JSON of {sample.key} in {sample.tar} is broken: {error!r}") from error
        if not all_text:
            raise IntegrityError(f"the JSON of {sample.key} in {sample.tar} holds text that is no string")
        if unknown:
            raise IntegrityError(f"sample {sample.key} of {sample.tar} has no member {sorted(unknown)[0]!r}")
        return blocks

    def _index(self, shard: int) -> pa.Table:
        if shard not in self._indexes:
            entry = self._entries[shard]
            with self._fs.open(f"{self._root}/{entry['index']}", "rb") as file:
                table = pq.read_table(file, columns=["key", "members"])
            if table.num_rows != entry["num_samples"]:
                raise IntegrityError(
                    f"{entry['index']} lists {table.num_rows} samples and {LISTING} {entry['num_samples']}; "
                    "write the shards again"
                )
            self._indexes[shard] = table.cast(pa.schema([INDEX.schema.field(n) for n in table.column_names]))
            if len(self._indexes) > MAX_OPEN_INDEXES:
                self._indexes.popitem(last=False)
        self._indexes.move_to_end(shard)
        return self._indexes[shard]


@dataclass(frozen=True)
class Shards:
    """All shards under one listing."""

    root: str
    corpora: dict[str, Corpus]
    fingerprint: str
    """Digest of every shard's SHA-256 sum: the same wherever the same shards lie."""


def find(data: str) -> str:
    """Return the folder of the shards: `data` itself, or `data/shards` when `data` is what a run wrote.

    Raises: PathError when neither holds a listing.
    """
    for folder in (data.rstrip("/"), f"{data.rstrip('/')}/shards"):
        fs, path = url_to_fs(f"{folder}/{LISTING}")
        if fs.exists(path):
            return folder
    raise PathError(f"no {LISTING} in {data} or {data}/shards; give a run's output folder or its shards folder")


def beside(data: str, name: str) -> str:
    """Return the default place of the tokenizer or the checkpoints: NAME in the run's folder, next to the shards.

    Raises: PathError when `data` is neither a run's output folder nor its shards folder.
    """
    parent, _, _ = find(data).rpartition("/")
    return f"{parent or '.'}/{name}"


def open_shards(data: str) -> Shards:
    """Read the listing of the shards in a run's output folder or a shards folder, a local path or an fsspec URL.

    Raises: PathError when there is none; IntegrityError when it is of another version, or a shard is missing or cut.
    """
    folder = find(data)
    fs, root = url_to_fs(folder)
    listing: dict[str, Any] = json.loads(fs.cat_file(f"{root}/{LISTING}"))
    if listing.get("version") != VERSION:
        raise IntegrityError(f"{folder}/{LISTING} has version {listing.get('version')}, this trainer reads {VERSION}")
    entries: list[ShardEntry] = listing["shards"]
    for entry in entries:
        tar = f"{root}/{entry['tar']}"
        if not fs.exists(tar) or fs.size(tar) != entry["num_bytes"]:
            raise IntegrityError(f"{tar} is missing or not {entry['num_bytes']} bytes long; copy the shard again")
    corpora = {name: Corpus(fs, root, name, [e for e in entries if e["corpus"] == name]) for name in CORPORA}
    return Shards(folder, corpora, digest(*(e["sha256"] for e in entries)))
