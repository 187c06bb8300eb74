"""The commit log: a task's results in small committed parts, which are not fetched again.

A part is a Parquet file of results without image bytes, created atomically under a name that only one writer can take.
If a task runs twice, the second attempt reads the first one's parts and continues after them. Image bytes are in a part
of `images` that the results name.
"""

import io
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.io.store import Store
from pipeline.io.tables import PartWriter
from schemas.errors import TransientError
from schemas.tables import IMAGES

RESULTS = pa.schema(
    [
        *(f for f in IMAGES.schema if f.name != "bytes"),
        pa.field("location", pa.string()),  # the next URL, if status is MOVED
        pa.field("num_redirects", pa.int32()),  # so far
        pa.field("part", pa.string()),  # part of `images` with the bytes, if status is 'ok'
        pa.field("part_bytes", pa.int64()),  # size and checksum of that part
        pa.field("part_sha256", pa.string()),
    ]
)
MOVED = "moved"  # an internal status: redirected to another host, which another task may own
MAX_SECONDS = 15  # between commits
MAX_BYTES = 50_000_000  # of images in one commit: with its last image, it is one upload (UPLOAD_BYTES)


class CommitLog:
    """The results of one task of one run."""

    def __init__(
        self,
        store: Store,
        folder: str,
        images: str,
        task: str,
        fence: str,
        max_rows: int,
        count: Callable[[Counter[str]], object] | None = None,
    ) -> None:
        """Parts of a task are `folder/task-000000.parquet` with results and `images/task-...` with image bytes.

        Args: fence is a file that a later run creates to stop this one's commits; max_rows is the most rows of a part;
        count gets the number of results of each status, once they are committed.
        """
        self.store, self.folder, self.images, self.task = store, folder, images, task
        self.fence, self.max_rows, self.count = fence, max_rows, count
        self.rows: list[dict[str, Any]] = []
        self.num_bytes = 0
        self.number = 0  # of the next part
        self.committed_at = time.monotonic()
        self.answered: dict[str, str] = {}  # images in committed parts: id to status

    def catch_up(self) -> None:
        """Read this task's parts since the last call, from this attempt or another."""
        while True:
            try:
                part = self.store.read(self._path(self.number))
            except FileNotFoundError:
                return
            results = pq.read_table(io.BytesIO(part), columns=["image_id", "status"]).to_pydict()
            self.answered.update(zip(results["image_id"], results["status"], strict=True))
            self.number += 1

    def add(self, row: dict[str, Any]) -> None:
        """Add a result, a row of `images` with `location` and `num_redirects`; commit when a part is large enough."""
        self.rows.append(row)
        self.num_bytes += row["num_bytes"] or 0
        if (
            len(self.rows) >= self.max_rows
            or self.num_bytes >= MAX_BYTES
            or time.monotonic() - self.committed_at >= MAX_SECONDS
        ):
            self.commit()

    def commit(self) -> None:
        """Write the added results, except those that another attempt has already committed.

        Raises: TransientError when a later run has taken over.
        """
        while not self._try_commit():
            self.catch_up()
        self.answered.update((row["image_id"], row["status"]) for row in self.rows)
        if self.count:
            self.count(Counter(row["status"] for row in self.rows))
        self.rows, self.num_bytes, self.committed_at = [], 0, time.monotonic()

    def _try_commit(self) -> bool:
        """Write the next part; return False when another attempt has taken its name."""
        self.rows = [row for row in self.rows if row["image_id"] not in self.answered]
        if not self.rows:
            return True
        fetched = [row for row in self.rows if row["status"] == "ok"]
        part = f"{self.images}/{self.task}-{self.number:06d}-{uuid.uuid4().hex[:8]}.parquet"
        if fetched:
            with PartWriter(self.store, IMAGES, self.store.at(part)) as images:
                for row in fetched:
                    images.add({name: row[name] for name in IMAGES.schema.names})
            for row in fetched:
                row |= {"part": part, "part_bytes": images.sum["num_bytes"], "part_sha256": images.sum["sha256"]}
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(self.rows, schema=RESULTS), buffer, compression="zstd")
        # asked last: while the bytes were written, a later run may have read what is committed
        is_over = self._is_over()
        if not is_over and self.store.create(self._path(self.number), buffer.getvalue()):
            self.number += 1
            return True
        if fetched:
            self.store.remove(part)
        if is_over:
            raise TransientError("a later run has taken over this run's work")
        return False

    def _is_over(self) -> bool:
        return self.store.has(self.store.at(self.fence))

    def _path(self, number: int) -> str:
        return self.store.at(self.folder, f"{self.task}-{number:06d}.parquet")
