"""Parse an archive's bytes into records: WARC (ISO 28500, all versions) and ARC; reports every unreadable byte."""

import itertools
import re
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.warc.stream import PADDING, RECORD_START, Damage, Piece, Pieces

MAX_REWINDS = 16  # a hostile archive could otherwise cause a rewind at every record


class ArchivePosition(NamedTuple):
    """A position in an archive: offset of the compressed member in the file, and decompressed offset in the member."""

    member: int
    inner: int

    @property
    def offset(self) -> int:
        """Offset in the file, if a record has its own member, or the file is not compressed."""
        return self.member + self.inner


class ByteWindow:
    """A buffer of the bytes from the current place up to the next damage. Read `held`; advance with `drop`."""

    def __init__(self, read_pieces: Callable[[int], Pieces], start: int) -> None:
        self.held = bytearray()
        self.damage: Damage | None = None
        self._read_pieces = read_pieces
        self._pieces = read_pieces(start)
        self._dropped = 0
        self._members: deque[tuple[int, int]] = deque([(0, start)])  # (dropped + index in held, offset in the file)
        self._num_rewinds = 0
        self._no_match_before = 0  # end of the range that `search` has covered without a match, counted like _dropped

    @property
    def place(self) -> ArchivePosition:
        """The position of the first held (or next) byte."""
        at, member = self._members[0]
        return ArchivePosition(member, self._dropped - at)

    def fill(self, size: int) -> int:
        """Buffer `size` bytes, or fewer before the next damage or the end. Returns the number of held bytes."""
        while len(self.held) < size and self.damage is None:
            piece = next(self._pieces, None)
            if piece is None:
                break
            if isinstance(piece, Damage):
                self.damage = piece
            elif piece.data:
                self._append(piece)
        return len(self.held)

    def _append(self, piece: Piece) -> None:
        if piece.member != self._members[-1][1]:
            self._members.append((self._dropped + len(self.held), piece.member))
            if not self.held:
                self._members.popleft()
        self.held += piece.data

    def copy(self, size: int) -> bytes:
        """Return the first `size` held bytes."""
        with memoryview(self.held) as view:
            return bytes(view[:size])

    def search(self, pattern: re.Pattern[bytes], size: int, overlap: int) -> re.Match[bytes] | None:
        """Search the first `size` held bytes for a pattern, which must be the same in all calls.

        Bytes already searched are skipped, except an `overlap` in which a match may begin.
        """
        begin = max(0, self._no_match_before - self._dropped - overlap)
        match = pattern.search(self.held, begin, size)
        if match is None:
            self._no_match_before = self._dropped + min(size, len(self.held))
        return match

    def drop(self, size: int) -> None:
        """Advance by `size` bytes, which must be held."""
        del self.held[:size]
        self._dropped += size
        while len(self._members) > 1 and self._members[1][0] <= self._dropped:
            self._members.popleft()

    def skip(self, size: int) -> int:
        """Advance by `size` bytes, or to the next damage or the end, with little memory. Returns the number skipped."""
        passed = 0
        while passed < size and self.fill(1):
            step = min(size - passed, len(self.held))
            self.drop(step)
            passed += step
        return passed

    def members(self, last: int) -> Iterator[int]:
        """Yield the offsets in `held` at which further compressed members begin, up to `last`."""
        ends = (at - self._dropped for at, _ in itertools.islice(self._members, 1, None))
        return itertools.takewhile(lambda at: at <= last, ends)

    def resume(self) -> Damage | None:
        """Continue after the damage that stopped the window, and return it."""
        damage, self.damage = self.damage, None
        return damage

    def rewind(self, place: ArchivePosition) -> bool:
        """Return to an earlier place; False without effect after MAX_REWINDS."""
        if self._num_rewinds == MAX_REWINDS:
            return False
        self._num_rewinds += 1
        self.held.clear()
        self.damage = None
        self._dropped = self._no_match_before = 0
        self._members = deque([(0, place.member)])
        self._pieces = self._read_pieces(place.member)
        return self.skip(place.inner) == place.inner


MAX_HEAD_BYTES = 64 << 10
MAX_LINE_BYTES = 9 << 10
WARC_LINE = re.compile(rb"WARC/\d\.\d{1,2}[ \r]*\n")
PADDING_RUN = re.compile(rb"[\r\n\0]*")
HEAD_END = re.compile(rb"\n\r*\n")
HEAD_END_BYTES = 16
IP_ADDRESS = re.compile(rb"\d{1,3}(\.\d{1,3}){3}|[\dA-Fa-f]*:[\dA-Fa-f:.]+")


@dataclass(frozen=True, slots=True)
class Gap:
    """A range without a readable record. Its length is in compressed bytes if they could not be decompressed, else in
    decompressed bytes."""

    offset: int
    length: int
    detail: str


@dataclass(frozen=True, slots=True)
class Record:
    """A record of an archive. `block` is truncated to the reader's limit."""

    place: ArchivePosition
    headers: dict[str, str]  # names in lower case; for ARC records the equivalent WARC headers
    block: bytes
    num_bytes: int  # of the complete block
    gap: Gap | None = None  # if the block does not match the headers

    @property
    def kind(self) -> str:
        """The WARC-Type, lower case."""
        return self.headers.get("warc-type", "").lower()

    @property
    def url(self) -> str:
        """The URL, without the angle brackets of some writers, and with escaped spaces."""
        return self.headers.get("warc-target-uri", "").strip("<> ").replace(" ", "%20")


def read_records(window: ByteWindow, hold_bytes: int) -> Iterator[Record | Gap]:
    """Yield the records and the gaps between them, in order; invalid bytes neither raise an error nor end it early.

    Args: hold_bytes limits the size of a record's `block`.
    """
    if window.fill(len(BOM_UTF8)) and window.held.startswith(BOM_UTF8):
        window.drop(len(BOM_UTF8))
    while True:
        while window.fill(1) and window.held[0] in PADDING:
            window.drop(_skip_padding(window, 0))
        place = window.place
        if window.held:
            headers = _take_head(window)
            if headers is None:
                yield Gap(place.offset, _skip_to_record(window, 1), "not the start of a record")
                continue
            block, num_bytes, fault = _take_block(window, _length(headers), hold_bytes)
            gap = Gap(place.offset, num_bytes, fault) if fault else None
            if gap and not window.held and (damage := window.resume()):
                gap = Gap(damage.offset, damage.end - damage.offset, f"{fault}: {damage.detail}")
            yield Record(place, headers, block, num_bytes, gap)
        elif damage := window.resume():
            yield Gap(damage.offset, damage.end - damage.offset, damage.detail)
        else:
            return


def _take_head(window: ByteWindow) -> dict[str, str] | None:
    """Consume and return the headers of a record; None, without consuming, when no record begins here."""
    window.fill(MAX_HEAD_BYTES)
    if WARC_LINE.match(window.held):
        end = window.search(HEAD_END, MAX_HEAD_BYTES, HEAD_END_BYTES)
        if end is None:
            return None
        head = parse_headers(window.copy(end.end()))[1]
        window.drop(end.end())
        return {name.lower(): value for name, value in reversed(head)}  # the first of duplicates counts
    line_end = window.held.find(b"\n", 0, MAX_HEAD_BYTES)
    arc = _parse_arc_line(window.copy(line_end + 1))
    if arc is not None:
        window.drop(line_end + 1)
    return arc


def _parse_arc_line(line: bytes) -> dict[str, str] | None:
    """Parse "URL IP-address date type ... length", version 1 or 2; the URL may contain spaces."""
    fields = line.rstrip(b"\r\n").split(b" ")
    ip = next((i for i, field in enumerate(fields[:-3]) if i and IP_ADDRESS.fullmatch(field)), None)
    if ip is None or not re.match(rb"[A-Za-z][A-Za-z0-9+.-]*:", line):
        return None
    url, date, content_type, length = (
        field.decode("utf-8", "replace") for field in (b" ".join(fields[:ip]), *fields[ip + 1 : ip + 3], fields[-1])
    )
    kind = "warcinfo" if url.startswith("filedesc:") else "response"
    return {
        "warc-type": kind,
        "warc-target-uri": url,
        "warc-date": date,
        "content-type": content_type,
        "content-length": length,
    }


def parse_headers(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return the first line and the headers, with any line ends, number and length.

    A folded line continues the previous one; a line without a colon is skipped.
    """
    lines = [line for line in map(_text, head.split(b"\n")) if line]
    headers: list[tuple[str, list[str]]] = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if line[0] in " \t" and headers:
            headers[-1][1].append(line.strip())
        elif colon:
            headers.append((name.strip(), [value.strip()]))
    return lines[0] if lines else "", [(name, " ".join(values)) for name, values in headers]


def _text(line: bytes) -> str:
    """Decode a header line: UTF-8 if valid, else ISO-8859-1."""
    try:
        return line.rstrip().decode()
    except UnicodeDecodeError:
        return line.rstrip().decode("latin-1")


def _length(head: dict[str, str]) -> int | None:
    text = head.get("content-length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _begins_record(window: ByteWindow, at: int) -> bool:
    line_end = window.held.find(b"\n", at, at + MAX_LINE_BYTES) + 1
    return bool(WARC_LINE.match(window.held, at)) or _parse_arc_line(bytes(window.held[at:line_end])) is not None


def _skip_padding(window: ByteWindow, at: int) -> int:
    run = PADDING_RUN.match(window.held, at)
    return run.end() if run else at


def _ends_record(window: ByteWindow, at: int) -> bool:
    """Return whether a record may end here: after padding a record or member begins, or the held bytes end."""
    end = _skip_padding(window, at)
    return end == len(window.held) or _begins_record(window, end) or any(at <= m for m in window.members(end))


def _take_block(window: ByteWindow, length: int | None, hold_bytes: int) -> tuple[bytes, int, str]:
    """Consume the block after a record's headers. Returns its held part, its size, and an error message."""
    if length is None:
        return *_take_until_record(window, hold_bytes), "its header has no valid length"
    fault = f"the header declares {length} bytes, but the record ends elsewhere"
    if length > hold_bytes:
        place = window.place
        window.fill(hold_bytes)
        block = window.copy(hold_bytes)
        num_bytes, is_sound = _skip_block(window, length)
        if is_sound or not window.rewind(place):
            return block, num_bytes, "" if is_sound else fault
        return *_take_until_record(window, hold_bytes), fault
    num_held = window.fill(length + MAX_HEAD_BYTES)
    end: int | None = _next_member_record(window, length)
    if end is None and (num_held < length or not _ends_record(window, length)):
        begun = _find_record(window, 0, length)
        end = begun if begun is not None else num_held if num_held < length else None
    block = window.copy(length if end is None else end)
    window.drop(len(block))
    if end is None:
        return block, length, ""
    return block.rstrip(b"\r\n"), end, fault


def _next_member_record(window: ByteWindow, end: int) -> int | None:
    """Return the offset before `end` at which a compressed member begins with a record, which ends the current one."""
    return next((at for at in window.members(end - 1) if _begins_record(window, at)), None)


def _skip_block(window: ByteWindow, length: int) -> tuple[int, bool]:
    """Skip a block that is too large to hold. Returns the number of skipped bytes, and whether it ended as declared."""
    passed = 0
    size = 2 * MAX_HEAD_BYTES
    while passed < length and (num_held := window.fill(size)):
        step = min(length - passed, num_held if num_held < size else num_held - MAX_HEAD_BYTES)
        begun = _next_member_record(window, step)
        step = step if begun is None else begun
        window.drop(step)
        passed += step
        if begun is not None:
            return passed, False
    window.fill(MAX_HEAD_BYTES)
    return passed, passed == length and _ends_record(window, 0)


def _take_until_record(window: ByteWindow, hold_bytes: int) -> tuple[bytes, int]:
    window.fill(hold_bytes)
    begun = _find_record(window, 0)
    block = window.copy(hold_bytes if begun is None else min(hold_bytes, begun))
    return block.rstrip(b"\r\n"), _skip_to_record(window, 0)


def _find_record(window: ByteWindow, at: int, before: int | None = None) -> int | None:
    """Return the offset of the next record in the held bytes from `at` on: at the start of a line or member.

    Only searches before `before`: a short record must not cost a search of all held bytes.
    """
    end = len(window.held) if before is None else min(before, len(window.held))
    found = RECORD_START.search(window.held, at, end + MAX_LINE_BYTES)
    begun = found.start() if found and found.start() < end else None
    of_members = window.members((end if begun is None else begun) - 1)
    return next((m for m in of_members if at <= m and _begins_record(window, m)), begun)


def _skip_to_record(window: ByteWindow, at: int) -> int:
    """Skip to the next record from `at` on. Returns the number of skipped bytes."""
    passed = 0
    size = at + 2 * MAX_HEAD_BYTES
    while num_held := window.fill(size):
        begun = _find_record(window, at)
        if begun is not None:
            window.drop(begun)
            return passed + begun
        step = num_held
        if num_held == size:  # keep the last line, which may be the start of a record
            step = window.held.find(b"\n", num_held - MAX_LINE_BYTES) + 1 or num_held
        window.drop(step)
        passed += step
        at = 0
    return passed
