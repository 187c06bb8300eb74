"""A file in a remote store, read in order or from any offset, that survives failures of the network."""

import errno
import io
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from schemas.display import describe, message, redact_address
from schemas.errors import WeftError
from schemas.storage import file_system

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.5  # doubled after each attempt: 15.5 s in all
BLOCK_BYTES = 8 << 20  # of one range request
_LASTING = (
    WeftError,
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    ImportError,
    NotImplementedError,
)
_LASTING_STATUS = frozenset({400, 401, 403, 404, 405, 410, 451})

T = TypeVar("T")


class RemoteFile(io.RawIOBase):
    """A read-only file at an fsspec URL.

    After an error, a reset connection or a short read, the file is opened again and read from where it was, with
    increasing pauses. Without range requests (HTTP servers that do not support them) what was read is skipped again.

    Raises: what the file system raises, at once if another attempt cannot help, else after ATTEMPTS attempts.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url, self._position = url, 0
        self._file: Any = None
        self._attempt(lambda: None)

    @property
    def size(self) -> int | None:
        """Size of the file [bytes]; None if the server does not tell."""
        size: int | None = getattr(self._file, "size", None)
        return size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END and self.size is None:
            raise OSError(errno.ESPIPE, "the server does not tell the size of the file")
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size or 0}[whence]
        if start + offset != self._position:
            if self._file is not None:
                self._file.seek(start + offset)
            self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(BLOCK_BYTES), b""))
        data: bytes = self._attempt(lambda: self._read_once(size))
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed and self._file is not None:
            self._file.close()
        super().close()

    def _read_once(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        expected = size if self.size is None else max(0, min(size, self.size - self._position))
        if len(data) < expected and self.size is not None:
            raise OSError(f"{len(data):,} of {expected:,} bytes came at offset {self._position:,}")
        return data

    def _attempt(self, read: Callable[[], T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if self._file is None:
                    self._open()
                return read()
            except Exception as error:  # each file system raises errors of its own
                if not _may_pass(error) or attempt == ATTEMPTS:
                    raise
                name = redact_address(self._url)
                print(message(f"{name}: attempt {attempt} failed: {describe(error, 200)}"), file=sys.stderr)
                self._drop()
                time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        raise AssertionError("unreachable")

    def _open(self) -> None:
        store, path = file_system(self._url)
        file = store.open(path, "rb")
        try:
            if self._position:
                _go_to(file, self._position)
        except BaseException:
            file.close()
            raise
        self._file = file

    def _drop(self) -> None:
        """Close the file with its cache, which may hold a short block."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except Exception:  # the connection is broken anyway
                return


def _go_to(file: Any, position: int) -> None:
    try:
        file.seek(position)
    except (OSError, ValueError):  # a stream without ranges
        while position:
            data = file.read(min(position, BLOCK_BYTES))
            if not data:
                raise OSError("the file ends before the offset that was read before") from None
            position -= len(data)


def _may_pass(error: Exception) -> bool:
    """Return whether another attempt may succeed."""
    if isinstance(error, _LASTING):
        return False
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return status not in _LASTING_STATUS
