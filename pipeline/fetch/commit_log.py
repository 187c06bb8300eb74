"""Every answer that a task has had, committed in small parts: what lies here is not asked for again.

A part is a Parquet file of answers without bytes, written so that it is there whole or not at all, under a name that
only one writer can take: of two attempts at a task, the one that comes second reads what the first has written, and
goes on from there. The bytes of images lie in a part of `images` that the answers' part names.
"""

import io
import json
import time
import uuid
from collections import Counter
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.io.store import Store
from pipeline.io.tables import PartWriter
from schemas.errors import TransientError
from schemas.tables import IMAGES

ANSWERS = pa.schema(
    [
        *(f for f in IMAGES.schema if f.name != "bytes"),
        pa.field("location", pa.string()),  # where to ask next, when status is MOVED
        pa.field("num_redirects", pa.int32()),  # so far
        pa.field("part", pa.string()),  # of `images`, that holds the bytes, when status is 'ok'
        pa.field("part_bytes", pa.int64()),  # and the sum of that part
        pa.field("part_sha256", pa.string()),
    ]
)
MOVED = "moved"  # a status of our own: another host is to be asked, by the task that it belongs to
MAX_SECONDS = 15  # between commits
MAX_BYTES = 100_000_000  # of images in one commit
COUNTS = b"counts"  # key of a part's metadata: how many answers of each status it holds


class CommitLog:
    """The answers of one task of one run."""

    def __init__(self, store: Store, folder: str, images: str, task: str, fence: str, max_rows: int) -> None:
        """Name a task's parts: `folder/task-000000.parquet` of answers, `images/task-...` of their bytes.

        fence is the file by which a later run says that this one's answers are not wanted any more.
        """
        self.store, self.folder, self.images, self.task = store, folder, images, task
        self.fence, self.max_rows = fence, max_rows
        self.rows: list[dict[str, Any]] = []
        self.num_bytes = 0
        self.number = 0  # of the next part
        self.committed_at = time.monotonic()
        self.answered: dict[str, str] = {}  # images in committed parts: id to status

    def catch_up(self) -> None:
        """Read what this task has committed since last time, in this attempt or another."""
        while self.store.fs.exists(self._path(self.number)):
            with self.store.fs.open(self._path(self.number), "rb") as file:
                answers = pq.read_table(file, columns=["image_id", "status"]).to_pydict()
                self.answered.update(zip(answers["image_id"], answers["status"], strict=True))
            self.number += 1

    def add(self, row: dict[str, Any]) -> None:
        """Add an answer, a row of `images` with `location` and `num_redirects`; commit when enough have come."""
        self.rows.append(row)
        self.num_bytes += row["num_bytes"] or 0
        if (
            len(self.rows) >= self.max_rows
            or self.num_bytes >= MAX_BYTES
            or time.monotonic() - self.committed_at >= MAX_SECONDS
        ):
            self.commit()

    def commit(self) -> None:
        """Write what has been added; what another attempt has committed meanwhile is left out.

        Raises: TransientError when a later run has taken over.
        """
        while not self._claim():
            self.catch_up()
        self.answered.update((row["image_id"], row["status"]) for row in self.rows)
        self.rows, self.num_bytes, self.committed_at = [], 0, time.monotonic()

    def _claim(self) -> bool:
        """Write a part of both, of what has no answer yet; return whether nobody else has taken its name."""
        if self._is_over():
            raise TransientError("a later run has taken this one's work over")
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
        counts = json.dumps(Counter(row["status"] for row in self.rows))
        answers = pa.Table.from_pylist(self.rows, schema=ANSWERS.with_metadata({COUNTS: counts}))
        buffer = io.BytesIO()
        pq.write_table(answers, buffer, compression="zstd")
        # a later run may have begun, and read what there is, while the bytes were written
        if not self._is_over() and self.store.create(self._path(self.number), buffer.getvalue()):
            self.number += 1
            return True
        if fetched:
            self.store.remove(part)
        return False

    def _is_over(self) -> bool:
        return bool(self.store.fs.exists(self.store.at(self.fence)))

    def _path(self, number: int) -> str:
        return self.store.at(self.folder, f"{self.task}-{number:06d}.parquet")


class Tally:
    """How many answers of each status have been committed below a folder, whoever writes there."""

    def __init__(self, store: Store, folder: str) -> None:
        self.store, self.folder = store, folder
        self.seen: set[str] = set()
        self.counts: Counter[str] = Counter()

    def refresh(self) -> Counter[str]:
        """Read the parts that are new, of each but its metadata; return the counts of all."""
        for part in self.store.parts(self.folder):
            if part in self.seen:
                continue
            with suppress(FileNotFoundError), self.store.fs.open(self.store.at(part), "rb") as file:
                self.counts.update(json.loads(pq.read_schema(file).metadata[COUNTS]))
            self.seen.add(part)
        return self.counts
