"""HDFS for fsspec, by the native client of hdfs-native: neither Java nor libhdfs is needed."""

import io
import os
from typing import Any

from hdfs_native import Client, FileReader
from hdfs_native.fsspec import HdfsFileSystem as NativeFileSystem

BLOCK_BYTES = 1 << 20  # of one read
_KEPT: list[Client] = []


class HdfsFileSystem(NativeFileSystem):
    """`hdfs://HOST:PORT/PATH`, or `hdfs://NAMESERVICE/PATH` and `hdfs:///PATH` by the files of HADOOP_CONF_DIR."""

    protocol = "hdfs"

    def __init__(self, host: str | None = None, port: int | None = None, *args: Any, **options: Any) -> None:
        super().__init__(host, port, *args, **options)
        # fsspec drops its instances in a forked process. Freeing a client there would wait for its threads, which only
        # its own process has, so clients are kept.
        _KEPT.append(self.client)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:  # as it is: '#' and '?' are characters of names
        path = os.fspath(path)
        if path.startswith("hdfs://"):
            path = "/" + path.removeprefix("hdfs://").partition("/")[2]
        return path.rstrip("/") or cls.root_marker

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        authority = path.removeprefix("hdfs://").partition("/")[0] if path.startswith("hdfs://") else ""
        host, _, port = authority.partition(":")  # names of nameservices keep their case
        return {"host": host or None, "port": int(port) if port else None}

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:  # type: ignore[override]
        if mode == "rb":
            return HdfsFile(self.client.read(self._strip_protocol(path)))
        return super()._open(path, mode, **options)


class HdfsFile(io.BufferedReader):
    """A file that is read."""

    def __init__(self, file: FileReader) -> None:
        self.size = len(file)
        super().__init__(_Raw(file), BLOCK_BYTES)


class _Raw(io.RawIOBase):
    """A reader of hdfs-native with the methods of Python's raw files that it lacks."""

    def __init__(self, file: FileReader) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._file.tell(), io.SEEK_END: len(self._file)}[whence]
        self._file.seek(start + offset)
        return start + offset

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
