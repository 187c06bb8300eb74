"""A corpus as a sequence of samples, read by the byte ranges in the indexes of its shards."""

import bisect
import itertools
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from schemas.display import message
from schemas.errors import IntegrityError, PathError, TransientError
from schemas.integrity import parse_json
from schemas.shards import (
    LISTING,
    MAX_MEMBER_BYTES,
    Block,
    ShardEntry,
    check_blocks,
    check_index_sum,
    check_links,
    check_members,
    parse_index,
)
from schemas.storage import file_system

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.5  # doubled after each attempt: about 15 seconds in all
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)

T = TypeVar("T")
Range = tuple[str, int, int]  # file, first byte, end


class Files:
    """Files under a root folder, named by relative paths."""

    def __init__(self, url: str) -> None:
        self.fs, self.root = file_system(url)
        self._local = isinstance(self.fs, LocalFileSystem)

    def read(self, name: str) -> bytes:
        """Read a whole file.

        Raises: PathError when it is missing or may not be read; TransientError when no attempt succeeds.
        """
        data: bytes = _attempt(f"{self.root}/{name}", lambda: self.fs.cat_file(f"{self.root}/{name}"))
        return data

    def ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Read byte ranges of files, concurrently where the file system can.

        Raises: as `read`; a range that is returned short is retried.
        """

        def read() -> list[bytes]:
            found = [self._pread(*r) for r in ranges] if self._local else self._cat(ranges)
            for (name, start, end), data in zip(ranges, found, strict=True):
                if len(data) != end - start:
                    raise OSError(f"{name} returned {len(data)} of {end - start} bytes at {start}")
            return found

        return _attempt(f"{self.root}/{ranges[0][0]}", read) if ranges else []

    def sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Return the size of each file that exists [bytes]. Folders are listed, as single requests are slow remotely.

        Raises: PathError when a local file is a symbolic link to a place outside the root.
        """
        self.fs.invalidate_cache()
        found: dict[str, int | None] = {}
        if self._local:
            check_links(self.root, names)
        for folder in sorted({name.rpartition("/")[0] for name in names}):
            for entry in _attempt(f"{self.root}/{folder}", lambda f=folder: self._list(f)):  # type: ignore[misc]
                found[f"{folder}/{entry['name'].rpartition('/')[2]}"] = entry["size"]
        for name in names:
            if found.get(name) is None:  # some file systems, such as HTTP, do not list folders or sizes
                found[name] = _attempt(f"{self.root}/{name}", lambda n=name: self._size(n))  # type: ignore[misc]
        return {name: size for name in names if (size := found[name]) is not None}

    def _pread(self, name: str, start: int, end: int) -> bytes:
        with Path(f"{self.root}/{name}").open("rb", buffering=0) as file:  # takes a quarter of the time of fsspec
            file.seek(start)
            return file.read(end - start)

    def _cat(self, ranges: Sequence[Range]) -> list[bytes]:
        names, starts, ends = zip(*ranges, strict=True)
        found: list[bytes] = self.fs.cat_ranges(
            [f"{self.root}/{n}" for n in names], list(starts), list(ends), on_error="raise"
        )
        return found

    def _list(self, folder: str) -> list[dict]:  # type: ignore[type-arg]
        try:
            listed: list[dict] = self.fs.ls(f"{self.root}/{folder}", detail=True)  # type: ignore[type-arg]
        except FileNotFoundError:
            return []
        return listed

    def _size(self, name: str) -> int | None:
        try:
            size: int = self.fs.size(f"{self.root}/{name}")
        except FileNotFoundError:
            return None
        return size


def _attempt(what: str, read: Callable[[], T]) -> T:
    """Call `read`, with retries after increasing pauses; a missing file is not retried."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return read()
        except _LASTING as error:
            raise PathError(f"{what} cannot be read: {error}") from error
        except Exception as error:  # file systems let any exception of their clients through
            if attempt == ATTEMPTS:
                raise TransientError(f"{what} could not be read in {ATTEMPTS} attempts: {error!r}") from error
            print(message(f"{what}: attempt {attempt} failed ({error!r})"), file=sys.stderr)
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


MAX_OPEN_INDEXES = 4  # of one corpus: streams read neighbouring samples
READ_AHEAD = 16  # samples whose bodies are read together: remotely, many reads take as long as one


@dataclass(frozen=True)
class Sample:
    """A sample of a shard: its members by name (without the key), each with (offset, size) in the tar [bytes]."""

    key: str
    tar: str
    members: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class LostSamples:
    """Samples of a shard that are left out, as `data.on_missing: skip` allows."""

    tar: str
    reason: str
    num_samples: int


class Corpus:
    """The samples of one corpus, in the order of the listing."""

    def __init__(self, files: Files, name: str, entries: list[ShardEntry]) -> None:
        self.name = name
        self._files, self._entries = files, entries
        self._ends = list(itertools.accumulate(e["num_samples"] for e in entries))
        self._num_readable = [e["num_samples"] for e in entries]  # of each shard, from its start
        self._indexes: OrderedDict[int, pa.Table] = OrderedDict()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def samples(self, first: int, end: int) -> list[Sample | None]:
        """Look samples up in their shards' indexes, without reading them; None for a lost one.

        Raises: IntegrityError when an index does not match the listing.
        """
        found: list[Sample | None] = []
        while first < end:
            shard = bisect.bisect_right(self._ends, first)
            start = self._ends[shard] - self._entries[shard]["num_samples"]
            stop, readable = min(end, self._ends[shard]), start + self._num_readable[shard]
            rows = self._index(shard).slice(first - start, min(stop, readable) - first) if readable > first else None
            tar = self._entries[shard]["tar"]
            for row in rows.to_pylist() if rows is not None else ():
                found.append(Sample(row["key"], tar, {m["name"]: (m["offset"], m["size"]) for m in row["members"]}))
            found += [None] * (stop - max(first, min(stop, readable)))
            first = stop
        return found

    def read(self, members: Sequence[tuple[Sample, str]]) -> list[bytes | None]:
        """Read members of samples, concurrently where the file system can.

        None for a member that is missing, empty or larger than MAX_MEMBER_BYTES.

        Raises: PathError when a shard was removed after it was opened; TransientError when it cannot be reached.
        """
        places = [(s.tar, *s.members.get(m, (0, 0))) for s, m in members]
        readable = [0 < size <= MAX_MEMBER_BYTES for _, _, size in places]
        ranges = [(tar, at, at + size) for (tar, at, size), is_readable in zip(places, readable, strict=True)
                  if is_readable]  # fmt: skip
        data = iter(self._files.ranges(ranges))
        return [next(data) if is_readable else None for is_readable in readable]

    def bodies(self, samples: Sequence[Sample]) -> list[bytes | None]:
        """Read the text or JSON member of samples, for `text` or `blocks`."""
        return self.read([(sample, "json" if self.name == "interleaved" else "txt") for sample in samples])

    def read_all(self) -> Iterator[tuple[Sample, bytes | None]]:
        """Yield every sample that is not lost, in order, with its body."""
        for first in range(0, len(self), READ_AHEAD):
            samples = [s for s in self.samples(first, min(first + READ_AHEAD, len(self))) if s is not None]
            yield from zip(samples, self.bodies(samples), strict=True)

    def text(self, sample: Sample, body: bytes | None) -> str:
        """Return the text of a text or caption sample.

        Raises: IntegrityError when it is missing or not UTF-8.
        """
        if body is None:
            raise IntegrityError(
                f"sample {sample.key} of {sample.tar} has no text member, or one that is empty or too large"
            )
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise IntegrityError(f"sample {sample.key} of {sample.tar} is not UTF-8: {error.reason}") from error

    def blocks(self, sample: Sample, body: bytes | None) -> list[Block]:
        """Return the blocks of an interleaved sample.

        Raises: IntegrityError when its JSON is missing, malformed, or names an image that the sample lacks.
        """
        source = f"the JSON of {sample.key} in {sample.tar}"
        blocks = check_blocks(parse_json(body or b"", source), source)
        unknown = {b["image"] for b in blocks if b["kind"] == "image"} - sample.members.keys()
        if unknown:
            raise IntegrityError(f"sample {sample.key} of {sample.tar} has no member {min(unknown)[:100]!r}")
        return blocks

    def leave_out_missing(self, sizes: dict[str, int]) -> list[LostSamples]:
        """Leave out samples that files of these sizes [bytes] cannot hold; return those.

        Samples before the end of a truncated tar are kept, since they are in the order of the index.
        """
        lost = []
        for number, entry in enumerate(self._entries):
            tar, index, size = entry["tar"], entry["index"], sizes.get(entry["tar"])
            if size == entry["num_bytes"] and index in sizes:
                continue
            num_readable = 0
            if size is None or index not in sizes:
                reason = f"{tar if size is None else index} is missing"
            elif size > entry["num_bytes"]:
                reason = f"{tar} has {size} bytes, but {entry['num_bytes']} in {LISTING}"
            else:
                reason = f"{tar} ends after {size} of {entry['num_bytes']} bytes"
                rows = self._index(number)["members"].to_pylist()
                ends = [max(m["offset"] + m["size"] for m in members) for members in rows]
                num_readable = bisect.bisect_right(ends, size)
            self._num_readable[number] = num_readable
            lost.append(LostSamples(tar, reason, entry["num_samples"] - num_readable))
        return lost

    def _index(self, shard: int) -> pa.Table:
        if shard not in self._indexes:
            entry = self._entries[shard]
            data = self._files.read(entry["index"])
            check_index_sum(data, entry)
            table = parse_index(data, entry, ("key", "members"))
            check_members(table, entry)
            self._indexes[shard] = table
            if len(self._indexes) > MAX_OPEN_INDEXES:
                self._indexes.popitem(last=False)
        self._indexes.move_to_end(shard)
        return self._indexes[shard]
