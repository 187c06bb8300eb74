"""Verify one shard: its tar, index and listing entry agree, and its samples are valid."""

import hashlib
import io
import tarfile
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from pipeline.io.store import Store
from pipeline.io.tables import UNREADABLE, Lookup, among
from pipeline.shards.write import Picture, header, make_sample
from schemas.display import describe
from schemas.errors import IntegrityError, WeftError
from schemas.integrity import check_object, parse_json
from schemas.shards import CaptionFields, InterleavedFields, ShardEntry, TextFields, check_blocks, parse_index
from schemas.tables import DOCUMENTS, IMAGES


@dataclass(frozen=True)
class Defect:
    """A defect of a file; key is that of the sample or '', step is the one that writes the file."""

    file: str
    what: str
    key: str = ""
    step: str = "shard"

    def __str__(self) -> str:
        """Return one line; unprintable characters of a damaged file are replaced."""
        line = ": ".join(filter(None, (self.file, self.key, self.what)))
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


_STORED = ("image_id", "sha256", "width", "height", "bytes")


def differing(store: Store, tar: str, rows: list[dict[str, Any]], run: str) -> Iterator[tuple[str, str]]:
    """Yield key and fault of each sample of a tar that differs from the one made from the run's document."""
    by_key = {row["key"]: row for row in rows}
    try:
        lookup = Lookup(run)
        documents = lookup.find(DOCUMENTS, among("key", by_key), *DOCUMENTS.schema.names)
        ids = {b["image_id"] for d in documents for b in d["blocks"] if b["kind"] == "image"}
        pictures = _pictures(lookup, ids)
    except (WeftError, *UNREADABLE):  # an unreadable part of the run is a defect of its own
        return
    with store.fs.open(store.at(tar), "rb") as file:
        for document in documents:
            images = [b["image_id"] for b in document["blocks"] if b["kind"] == "image"]
            if not pictures.keys() >= set(images):
                continue
            expected = dict(make_sample(document, [pictures[image] for image in images]).members)
            for member in by_key[document["key"]]["members"]:
                file.seek(member["offset"])
                data = file.read(member["size"])
                if expected.get(member["name"]) not in (data, hashlib.sha256(data).digest()):
                    what = f"{member['name']} has changed since it was written, within bytes {member['offset']} to "
                    yield document["key"], f"{what}{member['offset'] + member['size']}"


def _pictures(lookup: Lookup, ids: set[str]) -> dict[str, Picture]:
    """Return images by id, with digests instead of bytes."""
    found = {}
    for batch in lookup.batches(IMAGES, list(_STORED), among("image_id", ids)):
        for row in batch.to_pylist():
            if row["bytes"] is not None:
                digest = hashlib.sha256(row.pop("bytes")).digest()
                found[row["image_id"]] = Picture(**row, data=digest)
    return found


MAX_PIXELS = 100_000_000  # of an image to decode; those of a shard are much smaller, unless their header is damaged
_FIELDS = {
    "interleaved": InterleavedFields,
    "caption": CaptionFields,
    "text": TextFields,
}


def faults(corpus: str, row: dict[str, Any], members: dict[str, bytes]) -> Iterator[str]:
    """Yield the faults of a sample; row is of the index, members maps names after the key to bytes."""
    try:
        fields = parse_json(members.get("json", b""), "it")
        check_object(fields, _FIELDS[corpus], "it")
        named = _named(corpus, fields)
    except IntegrityError as error:
        yield f"its JSON cannot be read: {error}"
        named = [name for name in members if name.endswith("jpg")]
    else:
        if more := fields.keys() - _FIELDS[corpus].__annotations__:
            yield f"its JSON has unknown fields for {corpus}: {', '.join(sorted(more))}"
        if fields.get("key") != row["key"]:
            yield f"its JSON has the key {fields.get('key')!r}"
        expected = {"json", *named} | ({"txt"} if corpus != "interleaved" else set())
        if expected != members.keys():
            yield f"its members are {', '.join(members)}, expected {', '.join(sorted(expected))}"
    if "txt" in members:
        yield from _text_faults(row, members["txt"])
    yield from _size_faults(row, [name for name in named if name in members], members)


def _named(corpus: str, fields: dict[str, Any]) -> list[str]:
    """Return the image members in a sample's JSON, in order."""
    if corpus == "interleaved":
        return [block["image"] for block in check_blocks(fields, "it") if block["kind"] == "image"]
    return ["jpg"] if corpus == "caption" else []


def _text_faults(row: dict[str, Any], data: bytes) -> Iterator[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        yield f"its text is not UTF-8: {error}"
        return
    if (len(text), len(text.split())) != (row["num_characters"], row["num_words"]):
        yield f"its text has {len(text)} characters, the index says {row['num_characters']}"


def _size_faults(row: dict[str, Any], names: list[str], members: dict[str, bytes]) -> Iterator[str]:
    sizes = list(zip(row["widths"], row["heights"], strict=False))
    if len(sizes) != len(names):
        yield f"it has {len(names)} images, the index says {len(sizes)}"
    for name, size in zip(names, sizes, strict=False):
        if fault := _image_fault(members[name], size):
            yield f"{name}: {fault}"


def _image_fault(data: bytes, size: tuple[int, int]) -> str:
    """Decode an image; return its fault or ''."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if image.size != size or image.width * image.height > MAX_PIXELS:
                return f"is {image.width}x{image.height} pixels, the index says {size[0]}x{size[1]}"
            image.load()
    except Exception as error:  # decoders raise arbitrary errors
        return f"cannot be decoded: {describe(error, 200)}"
    return ""


_CHUNK_BYTES = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
Row = dict[str, Any]  # of the index
Check = Callable[[Row, dict[str, bytes]], Iterator[str]]


@dataclass
class TarBytes:
    """A file that is read once from start to end, with its position and checksum."""

    file: BinaryIO
    position: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)

    def take(self, size: int) -> bytes:
        """Read the next bytes, fewer at the end of the file."""
        parts = []
        while size and (part := self.file.read(min(size, _CHUNK_BYTES))):
            self.sha256.update(part)
            self.position += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def rest(self) -> Iterator[bytes]:
        """Yield the remaining chunks."""
        while part := self.take(_CHUNK_BYTES):
            yield part


def walk_tar(tape: TarBytes, rows: list[Row], check: Check) -> Iterator[tuple[str, str]]:
    """Read a tar to its end; yield the key of the sample and the description of each fault.

    Memory holds one sample. If a header is damaged, the member's size is taken from the index.
    """
    key = ""
    for number, row in enumerate(rows):
        key, members = row["key"], {}
        for member in row["members"]:
            name = f"{key}.{member['name']}"
            head = tape.take(_BLOCK)
            size = member["size"]
            if head != header(name, size):
                what, size = _misplaced(head, name, tape.position, member)
                yield key, what
            elif member["offset"] != tape.position:
                yield key, f"{name} starts at byte {tape.position}, the index says {member['offset']}"
            start, data = tape.position, tape.take(size)
            padding = tape.take(-size % _BLOCK)
            if len(data) < size or len(head) < _BLOCK:
                yield key, f"the tar ends at byte {start + len(data)}, within {name}; {_lost(rows, number)}"
                return
            if padding.strip(b"\0"):
                yield key, f"bytes after {name} should be zero, from byte {start + size} on"
            members[member["name"]] = data
        for fault in check(row, members):
            yield key, fault
    start = tape.position
    if sum(part.strip(b"\0") != b"" for part in tape.rest()):  # a sum, to read all
        yield key, f"after it, at the end of the tar, bytes from {start} on are not zero"
    if tape.position - start < 2 * _BLOCK:
        yield key, f"after it, the end of the tar is missing, at byte {tape.position}"


def _misplaced(head: bytes, name: str, start: int, member: Row) -> tuple[str, int]:
    """Describe how a header differs from the index; return also the size of the member after it."""
    try:
        found = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        return f"the header of {name}, before byte {start}, is damaged: {error}", member["size"]
    if (found.name, found.size) == (name, member["size"]):
        return f"the header of {name}, before byte {start}, has changed since it was written", found.size
    expected = f"{name} of {member['size']} bytes at {member['offset']}"
    return f"the index says {expected}, the tar holds {found.name} of {found.size} bytes at {start}", found.size


def _lost(rows: list[Row], number: int) -> str:
    return f"{len(rows) - number} of {len(rows)} samples are lost"


@dataclass
class Checked:
    """The result for one shard; keys are 64-bit digests of the samples' keys."""

    defects: list[Defect] = field(default_factory=list)
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))


def check_shard(root: str, folder: str, run: str, deep: bool, entry: ShardEntry) -> Checked:
    """Check a shard of the listing in a folder below a root; run is its output, '' if unknown.

    Unless deep, samples are only checked if the tar's SHA-256 differs from the listing.
    """
    store, found = Store(root), Checked()
    tar, index = ("/".join(filter(None, (folder, entry[kind]))) for kind in ("tar", "index"))
    rows = _rows(store, index, entry, found)
    found.keys = np.array([key_number(row["key"]) for row in rows or []], np.uint64)
    if found.defects:
        rows = None  # a changed index is useless
    elif rows is not None:
        _check_counts(entry, rows, index, found)
    try:
        for key, what in _tar_faults(store, tar, entry, rows, run, deep):
            found.defects.append(Defect(tar, what, key))
    except (OSError, ValueError) as error:
        found.defects.append(Defect(tar, f"cannot be read: {describe(error, 200)}"))
    return found


def key_number(key: str) -> int:
    """Return a 64-bit digest of a key."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())


def _rows(store: Store, path: str, entry: ShardEntry, found: Checked) -> list[dict[str, Any]] | None:
    """Read an index; None when it cannot be read."""
    try:
        data = store.fs.cat_file(store.at(path))
        if hashlib.sha256(data).hexdigest() != entry["index_sha256"]:
            found.defects.append(Defect(path, "has changed since it was written: its SHA-256 differs from the listing"))
        rows: list[dict[str, Any]] = parse_index(data, entry).to_pylist()
    except (OSError, IntegrityError) as error:
        found.defects.append(Defect(path, f"cannot be read: {describe(error, 200)}"))
        return None
    return rows


def _check_counts(entry: ShardEntry, rows: list[dict[str, Any]], path: str, found: Checked) -> None:
    num_images = sum(len(row["widths"]) for row in rows)
    listed = entry["num_samples"], entry["num_images"]
    if listed != (len(rows), num_images):
        what = f"holds {len(rows)} samples and {num_images} images, the listing says {listed[0]} and {listed[1]}"
        found.defects.append(Defect(path, what))


def _tar_faults(
    store: Store, path: str, entry: ShardEntry, rows: list[dict[str, Any]] | None, run: str, deep: bool
) -> Iterator[tuple[str, str]]:
    """Yield the faults of a tar, each with the key of the sample or ''."""
    written = entry["num_bytes"], entry["sha256"]
    found, num_faults = yield from _read_tar(store, path, entry["corpus"], rows if deep else None)
    if found != written and not deep and rows is not None:
        found, num_faults = yield from _read_tar(store, path, entry["corpus"], rows)
    if found == written:
        return
    if not num_faults and rows is not None and run:
        for fault in differing(store, path, rows, run):
            num_faults += 1
            yield fault
    if not num_faults:
        what = f"has changed since it was written: {found[0]} bytes with another SHA-256 than in the listing"
        yield "", what + ("" if rows is None else "; the format of each sample is valid")


def _read_tar(
    store: Store, path: str, corpus: str, rows: list[Row] | None
) -> Generator[tuple[str, str], None, tuple[tuple[int, str], int]]:
    """Read a complete tar, and yield the faults of its samples if rows of its index are given.

    Returns: its size [bytes] and SHA-256, and the number of faults.
    """
    num_faults = 0
    with store.fs.open(store.at(path), "rb") as file:
        tape = TarBytes(file)
        if rows is not None:
            for fault in walk_tar(tape, rows, partial(faults, corpus)):
                num_faults += 1
                yield fault
        for _ in tape.rest():
            pass
    return (tape.position, tape.sha256.hexdigest()), num_faults
