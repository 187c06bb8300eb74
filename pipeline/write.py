"""Write one Parquet part so that it is there whole or not at all."""

import uuid
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store import DRAFT, Store
from schemas.sums import Sum, SummingFile
from schemas.tables import Table

ROWS_PER_GROUP = 500


class PartWriter:
    """Collect rows of a table into one Parquet file. Use as a context manager: an exception leaves no file."""

    def __init__(self, store: Store, table: Table, path: str) -> None:
        self.store, self.table, self.path = store, table, path
        folder, name = path.rsplit("/", 1)
        self.draft = f"{folder}/{DRAFT}{uuid.uuid4().hex}-{name}"
        self.rows: list[dict[str, Any]] = []
        self.num_rows = 0

    def __enter__(self) -> Self:
        self.store.fs.makedirs(self.path.rsplit("/", 1)[0], exist_ok=True)
        self.file = SummingFile(self.store.fs.open(self.draft, "wb"))
        self.writer = pq.ParquetWriter(self.file, self.table.schema, compression="zstd", write_page_checksum=True)
        return self

    def add(self, row: dict[str, Any]) -> None:
        """Add one row; raises SchemaError when it does not fit the table."""
        self.rows.append(row)
        self.num_rows += 1
        if len(self.rows) >= ROWS_PER_GROUP:
            self._flush()

    @property
    def sum(self) -> Sum:
        """The sum of the part, once it is written."""
        return self.file.sum

    def _flush(self) -> None:
        self.writer.write_table(pa.Table.from_batches([self.table.batch(self.rows)], self.table.schema))
        self.rows = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self.rows:
            self._flush()
        self.writer.close()
        self.file.close()
        if error is None:
            self.store.fs.mv(self.draft, self.path)
        else:
            self.store.fs.rm_file(self.draft)
