"""Tables of a run: write Parquet parts atomically, and find rows in the files that manifests list."""

from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from pipeline.io.store import Manifest, NewFile, Store
from schemas import renames
from schemas.errors import IntegrityError, PathError
from schemas.integrity import Sum
from schemas.tables import STEPS, Batches, Table, step_of

ROWS_PER_GROUP = 500


class PartWriter:
    """Writes rows of a table into one Parquet file. Use as a context manager: an exception leaves no file."""

    def __init__(self, store: Store, table: Table, path: str) -> None:
        self.store, self.table, self.path = store, table, path
        self.rows: list[dict[str, Any]] = []
        self.num_rows = 0

    def __enter__(self) -> Self:
        self.file = NewFile(self.store, self.path)
        self.writer = pq.ParquetWriter(self.file, self.table.schema, compression="zstd", write_page_checksum=True)
        return self

    def add(self, row: dict[str, Any]) -> None:
        """Add one row. Raises: SchemaError when it does not fit the table."""
        self.rows.append(row)
        self.num_rows += 1
        if len(self.rows) >= ROWS_PER_GROUP:
            self._flush()

    @property
    def sum(self) -> Sum:
        """The checksum of the written part."""
        return self.file.sum

    def _flush(self) -> None:
        self.writer.write_table(pa.Table.from_batches([self.table.batch(self.rows)], self.table.schema))
        self.rows = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self.rows:
                self._flush()
            self.writer.close()
            if error is None:
                self.file.publish()
        except BaseException:
            self.file.discard()
            raise
        if error is not None:
            self.file.discard()


_WIDE = ("blocks", "bytes")
_CHECKED = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)
UNREADABLE = (OSError, pa.ArrowException, ValueError, LookupError, OverflowError, MemoryError)
"""Errors raised for damaged or missing files of tables."""


def damaged(path: str, error: Exception) -> IntegrityError:
    """Return the error for a file that cannot be read because of `error`."""
    cause = "it is missing" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())[:200]
    return IntegrityError(
        f"{path} cannot be read ({cause or type(error).__name__}): `weft verify` on the output lists the damage and "
        "the commands that repair it"
    )


def among(column: str, values: Iterable[str]) -> pc.Expression:
    """Return the filter for rows whose column has one of the values; without values it matches none."""
    return ds.field(column).isin(pa.array(list(values), pa.string()))


Data = TypeVar("Data", pa.RecordBatch, pa.Table)


def current_values(data: Data) -> Data:
    """Return rows of `rejections` or `images` with current reasons and statuses, whichever release wrote them."""
    for column, names in (("rule", renames.REASONS), ("status", renames.STATUSES)):
        at = data.schema.get_field_index(column)
        if at >= 0 and pc.any(pc.is_in(data.column(at), pa.array(list(names), pa.string()))).as_py():
            values = [names.get(value, value) for value in data.column(at).to_pylist()]
            data = data.set_column(at, data.schema.field(at), pa.array(values, data.schema.field(at).type))
    return data


class Lookup:
    """Reads rows of a run's tables. Raises: PathError when the folder has no finished step."""

    def __init__(self, directory: str) -> None:
        self.store = Store(directory)
        found = {step.name: self.store.manifest(step.folder) for step in STEPS.values()}
        self.manifests = {step: _current(m) for step, m in found.items() if m}
        if not self.manifests:
            raise PathError(f"{directory} holds no finished step of a run; `weft run` or `weft extract` makes one")

    @property
    def not_run(self) -> list[str]:
        """The steps that have not finished."""
        return [step for step in STEPS if step not in self.manifests]

    def files(self, table: Table, step: str | None = None) -> list[str]:
        """List the files of a table, as paths for the store's file system; for `rejections`, of one step or of all."""
        if step is None and table.name != "rejections":
            step = step_of(table).name
        manifests = [m for name, m in self.manifests.items() if step in (None, name)]
        return [self.store.at(file) for m in manifests for file in m.parts(table.name)]

    def find(self, table: Table, where: pc.Expression, *columns: str) -> list[dict[str, Any]]:
        """Return the rows that match an expression, with the given columns or else all except `blocks` and `bytes`."""
        names = list(columns) or [c.name for c in table.columns if c.name not in _WIDE]
        files = self.files(table)
        if any(name in _WIDE for name in names) and files:
            files = sorted(set(self._dataset(table, files).to_table(["__filename"], where)["__filename"].to_pylist()))
        return current_values(self._dataset(table, files).to_table(names, where)).to_pylist() if files else []

    def batches(self, table: Table, columns: list[str], where: pc.Expression | None = None) -> Batches:
        """Yield batches with some columns of a table, or of the rows that match an expression."""
        files = self.files(table)
        if files:
            yield from map(current_values, self._dataset(table, files).to_batches(columns=columns, filter=where))

    def table(self, table: Table, file: str, columns: list[str]) -> pa.Table:
        """Read some columns of one file of a table."""
        return current_values(self._dataset(table, [file]).to_table(columns))

    def holding(self, table: Table, leaf: str, values: list[str], *columns: str) -> list[dict[str, Any]]:
        """Return some columns of the rows with blocks whose field has one of the values, and their indices in `at`."""
        found = []
        for path in self.files(table):
            with self.store.fs.open(path, "rb") as f:
                file = pq.ParquetFile(f, page_checksum_verification=True)
                leaves = [file.schema.column(i).path for i in range(len(file.schema))]
                selected = [p for p in leaves if p.startswith("blocks.") and p.endswith(f".{leaf}")]
                for batch in file.iter_batches(columns=[*columns, *selected]):
                    found += _holding(batch, pa.array(values))
        return found

    def _dataset(self, table: Table, files: list[str]) -> ds.Dataset:
        schema = pa.schema([f.with_nullable(True).remove_metadata() for f in table.schema])
        return ds.dataset(files, schema=schema, format=_CHECKED, filesystem=self.store.fs)


def _current(manifest: Manifest) -> Manifest:
    """Return a manifest for readers: with present names, whatever release wrote it."""
    return replace(
        manifest,
        recipe=renames.current_recipe(manifest.recipe)[0],
        config=renames.current_recipe(manifest.config)[0],
        counts=renames.current_counts(manifest.counts, renames.STATUSES),
        rejected=renames.current_counts(manifest.rejected, renames.REASONS),
        judged=renames.current_counts(manifest.judged, renames.REASONS),
        notes={renames.NOTES.get(name, name): note for name, note in manifest.notes.items()},
    )


def _holding(batch: pa.RecordBatch, values: pa.Array) -> list[dict[str, Any]]:
    blocks = batch["blocks"]
    hits = pc.indices_nonzero(pc.is_in(pc.list_flatten(blocks).field(0), values))
    rows = pc.list_parent_indices(blocks).take(hits).to_pylist()
    first = blocks.offsets[0].as_py()
    places: dict[int, list[int]] = {}
    for row, hit in zip(rows, hits.to_pylist(), strict=True):
        places.setdefault(row, []).append(hit - (blocks.offsets[row].as_py() - first))
    plain = batch.drop_columns(["blocks"])
    return [{**plain.slice(row, 1).to_pylist()[0], "at": at} for row, at in places.items()]
