"""An archive file, opened by path or URL: reads that fail are PathErrors, never a stray exception of a file system."""

import zipfile
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import fsspec

from schemas.errors import PathError

BLOCK_BYTES = 64 << 10
REQUESTS_AT_ONCE = 16


def open_source(path: str) -> "Source":
    """Open a local path or an fsspec URL. Raises PathError when it cannot be opened."""
    try:
        file = fsspec.open(path, "rb").open() if "://" in path else Path(path).open("rb")  # noqa: SIM115
    except ImportError as error:
        raise PathError(f"{path}: {error}") from error
    except Exception as error:  # each remote file system raises errors of its own
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise PathError(f"{path}: cannot be opened: {reason}") from error
    return Source(cast(BinaryIO, file), path)


class Source:
    """A file, or the part of it that lies before `end`, read from wherever `seek` was told.

    Has the methods that FastWARC asks of a stream.
    """

    def __init__(self, file: BinaryIO, name: str, end: int | None = None) -> None:
        self.name = name
        self.position = file.tell()
        self._file = file
        self._end = end
        self._last = b""  # what the last read returned, so that looking at the beginning needs no seek
        self._file_position = self.position

    def until(self, end: int | None) -> "Source":
        """Return a view of the same file that ends at an offset. Of several views the newest is the one to read."""
        return Source(self._file, self.name, end)

    @property
    def file(self) -> BinaryIO:
        """The file itself, for a library that finds its own way in it."""
        return self._file

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        if self._end is not None:
            size = max(0, min(size, self._end - self.position))
        behind = self._file_position - self.position
        kept = self._last[-behind:][:size] if behind else b""
        if len(kept) < size:
            self._last = kept + self._read_on(size - len(kept))
            kept = self._last
            self._file_position = self.position + len(kept)
        self.position += len(kept)
        return kept

    def _read_on(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            return b""  # a damaged member of a zip ends here: content, not a failure of the machine
        except Exception as error:
            raise PathError(f"{self.name}: cannot be read: {error or type(error).__name__}") from error

    def seek(self, offset: int) -> None:
        if not 0 <= self._file_position - offset <= len(self._last):
            try:
                self._file.seek(offset)
            except Exception as error:
                raise PathError(f"{self.name}: cannot be read out of order ({error}); download it first") from error
            self._file_position, self._last = offset, b""
        self.position = offset

    def tell(self) -> int:
        return self.position

    def close(self) -> None:
        self._file.close()


def is_remote(name: str) -> bool:
    return "://" in name


def identify_source(archive: str) -> dict[str, str | int]:
    """Return what tells a file from another of the same name: its size [bytes], and its ETag or time of modification.

    A remote file costs one request, at most; what its server does not say is left out. Empty where nothing is known.
    """
    try:
        if not is_remote(archive):
            status = Path(archive).stat()
            return {"num_bytes": status.st_size, "modified": status.st_mtime_ns}
        file_system, path = fsspec.url_to_fs(archive)
        info = {name.lower(): value for name, value in file_system.info(path).items()}
    except Exception:  # each remote file system raises errors of its own; reading it will tell
        return {}
    times = (info.get(name) for name in ("last-modified", "lastmodified", "last_modified", "mtime", "updated"))
    found = {
        "num_bytes": info.get("size"),
        "etag": info.get("etag"),
        "modified": next((str(time) for time in times if time), None),
    }
    return {name: value for name, value in found.items() if value is not None}


def is_replaced(before: Mapping[str, str | int], now: Mapping[str, str | int]) -> bool:
    """Tell whether a file is another than the one of before, by what is known of both.

    The time of modification counts only where there is no ETag: a copy on another server has its own.
    """
    known = [name for name in ("num_bytes", "etag", "modified") if name in before and name in now]
    if "etag" in known and "modified" in known:
        known.remove("modified")
    return any(before[name] != now[name] for name in known)


def find_replaced(sources: Mapping[str, Mapping[str, str | int]]) -> list[str]:
    """Return those of some archives that are other files than `identify_source` once found them to be."""
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
        now = threads.map(identify_source, sources)
        return [archive for (archive, before), found in zip(sources.items(), now, strict=True)
                if is_replaced(before, found)]  # fmt: skip
