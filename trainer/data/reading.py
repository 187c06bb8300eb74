"""Read ranges of files, local or through fsspec; a failure that may pass by itself is tried again, a few times."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from schemas.display import message
from schemas.errors import PathError, TransientError
from schemas.shards import check_links

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.5  # doubled after each attempt: some 15 seconds in all
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)

T = TypeVar("T")
Range = tuple[str, int, int]  # file, first byte, end


class Files:
    """Files under one root, named by their paths from there."""

    def __init__(self, url: str) -> None:
        self.fs, self.root = url_to_fs(url)
        self._local = isinstance(self.fs, LocalFileSystem)

    def read(self, name: str) -> bytes:
        """Read a whole file.

        Raises: PathError when it is not there or not ours to read; TransientError when no attempt succeeds.
        """
        data: bytes = _attempt(f"{self.root}/{name}", lambda: self.fs.cat_file(f"{self.root}/{name}"))
        return data

    def ranges(self, wanted: Sequence[Range]) -> list[bytes]:
        """Read ranges of files, at once where the file system can; each must lie inside its file.

        Raises: as `read`; a range that comes back short is one that may pass by itself.
        """

        def read() -> list[bytes]:
            found = [self._pread(*r) for r in wanted] if self._local else self._cat(wanted)
            for (name, start, end), data in zip(wanted, found, strict=True):
                if len(data) != end - start:
                    raise OSError(f"{name} gave {len(data)} of {end - start} bytes at {start}")
            return found

        return _attempt(f"{self.root}/{wanted[0][0]}", read) if wanted else []

    def sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Return the size of each file that is there [bytes]. Folders are listed: asking singly is slow far away.

        Raises: PathError when a local file is a symbolic link that leads out of the root.
        """
        self.fs.invalidate_cache()
        found: dict[str, int | None] = {}
        if self._local:
            check_links(self.root, names)
        for folder in sorted({name.rpartition("/")[0] for name in names}):
            for entry in _attempt(f"{self.root}/{folder}", lambda f=folder: self._list(f)):  # type: ignore[misc]
                found[f"{folder}/{entry['name'].rpartition('/')[2]}"] = entry["size"]
        for name in names:
            if found.get(name) is None:  # some file systems, as HTTP, do not list, or list no sizes
                found[name] = _attempt(f"{self.root}/{name}", lambda n=name: self._size(n))  # type: ignore[misc]
        return {name: size for name in names if (size := found[name]) is not None}

    def _pread(self, name: str, start: int, end: int) -> bytes:
        with Path(f"{self.root}/{name}").open("rb", buffering=0) as file:  # a quarter of what fsspec takes
            file.seek(start)
            return file.read(end - start)

    def _cat(self, wanted: Sequence[Range]) -> list[bytes]:
        names, starts, ends = zip(*wanted, strict=True)
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
    """Read, and again after ever longer pauses. What is not there is not asked for twice."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return read()
        except _LASTING as error:
            raise PathError(f"{what} cannot be read: {error}") from error
        except Exception as error:  # file systems let through whatever their clients raise
            if attempt == ATTEMPTS:
                raise TransientError(f"{what} could not be read in {ATTEMPTS} attempts: {error!r}") from error
            print(message(f"{what}: attempt {attempt} failed ({error!r})"), file=sys.stderr)
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
    raise AssertionError("unreachable")
