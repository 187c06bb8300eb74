"""A sliding window over an archive's decompressed bytes, which knows where in the file each of them came from."""

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipeline.read.stream import Damage, Piece, Pieces

MAX_REWINDS = 16  # a hostile archive could otherwise ask for its bytes again at every record


class Place(NamedTuple):
    """Where a byte stands: in which compressed member (offset in the file), and how far inside when decompressed."""

    member: int
    inner: int

    @property
    def offset(self) -> int:
        """Offset in the file, where a record has a member of its own, or the file is plain."""
        return self.member + self.inner


class Window:
    """Bytes from the current place on, up to the next damage. `held` is read freely and advanced by `drop`."""

    def __init__(self, read_pieces: Callable[[int], Pieces], start: int) -> None:
        self.held = bytearray()
        self.damage: Damage | None = None
        self._read_pieces = read_pieces
        self._pieces = read_pieces(start)
        self._dropped = 0
        self._members: deque[tuple[int, int]] = deque([(0, start)])  # (dropped + index in held, offset in the file)
        self._num_rewinds = 0
        self._no_match_before = 0  # how far `search` has looked in vain, counted as _dropped

    @property
    def place(self) -> Place:
        """Where the first held byte (or the next one to come) stands."""
        at, member = self._members[0]
        return Place(member, self._dropped - at)

    def fill(self, size: int) -> int:
        """Hold `size` bytes, or as many as come before the next damage or the end. Returns how many are held."""
        while len(self.held) < size and self.damage is None:
            piece = next(self._pieces, None)
            if piece is None:
                break
            if isinstance(piece, Damage):
                self.damage = piece
            elif piece.data:
                self._take(piece)
        return len(self.held)

    def _take(self, piece: Piece) -> None:
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
        """Search the first `size` held bytes for a pattern, always the same one.

        What it was not found in is not searched again, but for an `overlap`, in which a match may have begun.
        """
        begin = max(0, self._no_match_before - self._dropped - overlap)
        match = pattern.search(self.held, begin, size)
        if match is None:
            self._no_match_before = self._dropped + min(size, len(self.held))
        return match

    def drop(self, size: int) -> None:
        """Go on by `size` bytes, which must be held."""
        del self.held[:size]
        self._dropped += size
        while len(self._members) > 1 and self._members[1][0] <= self._dropped:
            self._members.popleft()

    def skip(self, size: int) -> int:
        """Go on by `size` bytes or up to the next damage or the end, holding little. Returns how many were passed."""
        passed = 0
        while passed < size and self.fill(1):
            step = min(size - passed, len(self.held))
            self.drop(step)
            passed += step
        return passed

    def members(self, last: int) -> Iterator[int]:
        """Yield where in `held` further compressed members begin, up to a last place."""
        ends = (at - self._dropped for at, _ in itertools.islice(self._members, 1, None))
        return itertools.takewhile(lambda at: at <= last, ends)

    def resume(self) -> Damage | None:
        """Go on behind the damage at which the window stopped, and return it."""
        damage, self.damage = self.damage, None
        return damage

    def rewind(self, place: Place) -> bool:
        """Return to an earlier place. False, with nothing done, once an archive has asked for too much of this."""
        if self._num_rewinds == MAX_REWINDS:
            return False
        self._num_rewinds += 1
        self.held.clear()
        self.damage = None
        self._dropped = self._no_match_before = 0
        self._members = deque([(0, place.member)])
        self._pieces = self._read_pieces(place.member)
        return self.skip(place.inner) == place.inner
