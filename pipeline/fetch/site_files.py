"""Cached responses of sites to requests for robots.txt and tdmrep.json, packed into Parquet parts."""

import io
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.io.store import Store
from pipeline.url import host

FOLDER = "files"  # of the parts in a cache
SITE_FILES = pa.schema(
    [
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),
        pa.field("fetched_at", pa.float64()),
        pa.field("status", pa.int32()),
        pa.field("body", pa.binary()),
    ]
)


@dataclass(frozen=True)
class SiteFile:
    """A site's response to a request for one of these files."""

    url: str
    fetched_at: float  # seconds since the epoch
    status: int  # 0 for no response
    body: bytes


class SiteFiles:
    """The responses that a task knows, by URL. Thread-safe."""

    def __init__(self, cache: Store, known: Iterable[SiteFile] = ()) -> None:
        """Args: cache is the folder to which `write` adds a part; known are valid responses from there."""
        self.cache = cache
        self.known = {file.url: file for file in known}
        self.new: list[SiteFile] = []
        self.lock = Lock()

    def get(self, url: str) -> SiteFile | None:
        """Return the response of a URL, if it is known."""
        return self.known.get(url)

    def put(self, file: SiteFile) -> None:
        """Add a response."""
        with self.lock:
            self.known[file.url] = file
            self.new.append(file)

    def write(self) -> None:
        """Write the responses added since the last call as one part, if there are any."""
        with self.lock:
            new, self.new = self.new, []
        if new:
            rows = [{**asdict(file), "host": host(file.url)} for file in new]
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows, schema=SITE_FILES), buffer, compression="zstd")
            self.cache.write(self.cache.at(FOLDER, f"{uuid.uuid4().hex}.parquet"), buffer.getvalue())
