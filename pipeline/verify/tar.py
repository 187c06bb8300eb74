"""One pass over a shard's tar, held against its index: every byte is a header, a member's, or zero."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pipeline.shard.tar import header

_CHUNK_BYTES = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
Row = dict[str, Any]  # of the index
Check = Callable[[Row, dict[str, bytes]], Iterator[str]]


@dataclass
class Tape:
    """A file that is read once, from its start to its end."""

    file: BinaryIO
    position: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)

    def take(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end of the file."""
        parts = []
        while size and (part := self.file.read(min(size, _CHUNK_BYTES))):
            self.sha256.update(part)
            self.position += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def rest(self) -> Iterator[bytes]:
        """Go on to the end, piece by piece."""
        while part := self.take(_CHUNK_BYTES):
            yield part


def walk(tape: Tape, rows: list[Row], check: Check) -> Iterator[tuple[str, str]]:
    """Read a tar to its end; yield the key of a sample and what is wrong, for each thing that is.

    Memory holds one sample. Of a header that is damaged the index says how long its member is.
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
    if sum(part.strip(b"\0") != b"" for part in tape.rest()):  # a sum, so that all is read
        yield key, f"behind it, at the end of the tar, bytes from {start} on are not zero"
    if tape.position - start < 2 * _BLOCK:
        yield key, f"behind it the tar lacks its end, at byte {tape.position}"


def _misplaced(head: bytes, name: str, start: int, member: Row) -> tuple[str, int]:
    """Say how a header differs from what the index leads to; return the size of the member that follows, too."""
    try:
        found = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        return f"the header of {name}, before byte {start}, is damaged: {error}", member["size"]
    if (found.name, found.size) == (name, member["size"]):
        return f"the header of {name}, before byte {start}, is not as it was written", found.size
    told = f"{name} of {member['size']} bytes at {member['offset']}"
    return f"the index says {told}, the tar holds {found.name} of {found.size} bytes at {start}", found.size


def _lost(rows: list[Row], number: int) -> str:
    return f"{len(rows) - number} of {len(rows)} samples are lost"
