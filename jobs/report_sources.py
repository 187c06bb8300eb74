"""The files of a report and how to scan them with Spark."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from jobs.step import map_batches, spark_schema
from pipeline.io.store import Manifest, Store
from pipeline.io.tables import UNREADABLE, Lookup, current_values, damaged
from pipeline.shards.stats import locate, read_listing
from schemas import renames
from schemas.errors import PathError
from schemas.shards import Listing, ShardEntry
from schemas.tables import (
    CORPORA,
    DOCUMENTS,
    IMAGES,
    NEAR_DUPLICATE_IMAGES,
    PAGES,
    REJECTIONS,
    SAFETY,
    SCORES,
    Batches,
    Table,
    digest,
)

MAX_SHARDS = 2000
_COUNTED = (PAGES, IMAGES, SCORES, SAFETY)


class TableFiles(NamedTuple):
    """A file: the kind of its rows, its step or corpus, and its path on the store's file system."""

    kind: str
    of: str
    path: str


class ReportFiles:
    """The files of a run or of a shards folder. Raises: PathError when the directory holds neither."""

    def __init__(self, directory: str) -> None:
        self.run: Lookup | None = None
        try:
            self.run = Lookup(directory)
        except PathError as no_run:
            try:
                self.store, self.folder = locate(directory)
            except PathError:
                raise no_run from None
            self.listing: Listing | None = read_listing(self.store, self.folder)
        else:
            self.store, self.folder = self.run.store, "shards"
            self.listing = read_listing(self.store, self.folder) if "shard" in self.manifests else None
        self.directory = directory

    def _at(self, path: str) -> str:
        return self.store.at(*filter(None, (self.folder, path)))

    @property
    def manifests(self) -> dict[str, Manifest]:
        """The manifests of the finished steps, in order."""
        return self.run.manifests if self.run else {}

    @property
    def seed(self) -> int:
        """The seed of the run's recipe, 0 without a run."""
        recipes = [m.recipe for m in self.manifests.values()]
        return int(recipes[-1].get("seed", 0)) if recipes else 0

    @property
    def shards(self) -> list[ShardEntry]:
        """The entries of the listing."""
        return self.listing["shards"] if self.listing else []

    def some_shards(self) -> list[ShardEntry]:
        """All shards, or a sample of MAX_SHARDS."""
        some = sorted(self.shards, key=lambda s: digest("report", str(self.seed), s["tar"]))[:MAX_SHARDS]
        return sorted(some, key=lambda s: (CORPORA.index(s["corpus"]), s["split"], s["tar"]))

    def indexes(self) -> dict[str, ShardEntry]:
        """Return the shard of each index file."""
        return {self._at(s["index"]): s for s in self.shards}

    def tar(self, shard: ShardEntry) -> str:
        """Return the path of a shard's tar."""
        return self._at(shard["tar"])

    def of(self, table: Table) -> list[TableFiles]:
        """List the files of a table; none if its step has not finished."""
        return [TableFiles(table.name, "", path) for path in self.run.files(table)] if self.run else []

    def rejections(self, *steps: str) -> list[TableFiles]:
        """List the files of `rejections`, of some steps or all."""
        if not self.run:
            return []
        return [TableFiles("rejections", s, p) for s in steps or self.manifests for p in self.run.files(REJECTIONS, s)]

    def near_duplicate_images(self) -> list[TableFiles]:
        """List the files of clusters whose images are all kept; where one is kept, `rejections` has the others."""
        dedup = self.manifests.get("dedup")
        return self.of(NEAR_DUPLICATE_IMAGES) if dedup and not dedup.rejected.get("NEAR_DUPLICATE_IMAGE") else []

    def counted(self) -> list[TableFiles]:
        """List the files to count. Texts are measured in the latest table with texts; indexes store the measures."""
        indexes = [TableFiles("index", s["corpus"], path) for path, s in self.indexes().items()]
        found = [source for table in _COUNTED for source in self.of(table)] + indexes + self.rejections()
        if not self.of(IMAGES):
            found += [index._replace(kind="index images") for index in indexes]
        if not indexes:
            found += self.of(DOCUMENTS) or [page._replace(kind="texts of pages") for page in self.of(PAGES)]
        return found


FILES_PER_TASK = 8  # at most, about
_FILES = "kind string, of string, path string"


def scan(
    spark: SparkSession, sources: Sequence[TableFiles], function: Callable[[TableFiles], Batches], schema: pa.Schema
) -> DataFrame:
    """Apply a function from a file to batches of a schema to each file; the order of rows is undefined."""
    if not sources:
        return spark.createDataFrame([], spark_schema(schema))
    least = int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    tasks = min(len(sources), max(least, len(sources) // FILES_PER_TASK))
    files = spark.createDataFrame([tuple(source) for source in sources], _FILES).repartition(tasks)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            for row in batch.to_pylist():
                source = TableFiles(**row)
                try:
                    yield from function(source)
                except UNREADABLE as error:
                    raise damaged(source.path, error) from error

    return map_batches(files, run, schema)


def read(store: Store, path: str, columns: Sequence[str]) -> Batches:
    """Read those of the columns that a Parquet file has, as nullable; former names are translated."""
    with store.fs.open(path, "rb") as f:
        file = pq.ParquetFile(f, page_checksum_verification=True)
        stored = {name: name if name in file.schema_arrow.names else renames.COLUMNS.get(name, "") for name in columns}
        names = [name for name, column in stored.items() if column in file.schema_arrow.names]
        for batch in file.iter_batches(columns=[stored[name] for name in names]):
            rows = pa.RecordBatch.from_arrays([batch[stored[name]] for name in names], names=names)
            yield current_values(rows)


def select(store: Store, path: str, column: str, names: Collection[str], columns: Sequence[str]) -> Batches:
    """Read the rows whose `column` has one of the values; `columns` are read only from row groups with such rows."""
    values = pa.array(sorted(names), pa.string())
    with store.fs.open(path, "rb") as f:
        file = pq.ParquetFile(f, page_checksum_verification=True)
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, columns=[column])[column]
            if pc.any(pc.is_in(ids, values)).as_py():
                for batch in file.iter_batches(1024, row_groups=[group], columns=[column, *columns]):
                    yield batch.filter(pc.is_in(batch[column], values))
