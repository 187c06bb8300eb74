"""The files that a report reads, and how they become Spark frames."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from jobs.step import map_batches, spark_schema
from pipeline.io.store import Manifest, Store
from pipeline.io.tables import UNREADABLE, Lookup, damaged
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
_TALLIED = (PAGES, IMAGES, SCORES, SAFETY)


class TableFiles(NamedTuple):
    """A file: what it holds, of which step or corpus, and its path as the store's file system takes it."""

    kind: str
    of: str
    path: str


class ReportFiles:
    """What of a run is there to be told. Raises: PathError where nothing of a run is there."""

    def __init__(self, directory: str) -> None:
        self.run: Lookup | None = None
        try:
            self.run = Lookup(directory)
        except PathError as nothing:
            try:
                self.store, self.folder = locate(directory)
            except PathError:
                raise nothing from None
            self.listing: Listing | None = read_listing(self.store, self.folder)
        else:
            self.store, self.folder = self.run.store, "shards"
            self.listing = read_listing(self.store, self.folder) if "shard" in self.manifests else None
        self.directory = directory

    def _at(self, path: str) -> str:
        return self.store.at(*filter(None, (self.folder, path)))

    @property
    def manifests(self) -> dict[str, Manifest]:
        """The manifests of the finished steps, in the order of the steps."""
        return self.run.manifests if self.run else {}

    @property
    def seed(self) -> int:
        """The seed of the run's recipe; 0 where nobody says."""
        recipes = [m.recipe for m in self.manifests.values()]
        return int(recipes[-1].get("seed", 0)) if recipes else 0

    @property
    def shards(self) -> list[ShardEntry]:
        """What the listing says of all shards."""
        return self.listing["shards"] if self.listing else []

    def some_shards(self) -> list[ShardEntry]:
        """The shards, or of very many a sample."""
        some = sorted(self.shards, key=lambda s: digest("report", str(self.seed), s["tar"]))[:MAX_SHARDS]
        return sorted(some, key=lambda s: (CORPORA.index(s["corpus"]), s["split"], s["tar"]))

    def indexes(self) -> dict[str, ShardEntry]:
        """Return the shard of each index."""
        return {self._at(s["index"]): s for s in self.shards}

    def tar(self, shard: ShardEntry) -> str:
        """Return the path of a shard's tar."""
        return self._at(shard["tar"])

    def of(self, table: Table) -> list[TableFiles]:
        """List the files of a table; none where its step has not finished."""
        return [TableFiles(table.name, "", path) for path in self.run.files(table)] if self.run else []

    def rejections(self, *steps: str) -> list[TableFiles]:
        """List the ledger's files, of some steps or of all."""
        if not self.run:
            return []
        return [TableFiles("rejections", s, p) for s in steps or self.manifests for p in self.run.files(REJECTIONS, s)]

    def near_duplicate_images(self) -> list[TableFiles]:
        """List the files of clusters of which all may stay: where one does, the ledger tells of the others."""
        dedup = self.manifests.get("dedup")
        return self.of(NEAR_DUPLICATE_IMAGES) if dedup and not dedup.rejected.get("NEAR_DUPLICATE_IMAGE") else []

    def tallied(self) -> list[TableFiles]:
        """List what is counted. Texts are measured in the latest table that has them: indexes alone say it for free."""
        indexes = [TableFiles("index", s["corpus"], path) for path, s in self.indexes().items()]
        found = [source for table in _TALLIED for source in self.of(table)] + indexes + self.rejections()
        if not self.of(IMAGES):
            found += [index._replace(kind="index images") for index in indexes]
        if not indexes:
            found += self.of(DOCUMENTS) or [page._replace(kind="texts of pages") for page in self.of(PAGES)]
        return found


FILES_PER_TASK = 8  # about: for so many files at once a task is started
_FILES = "kind string, of string, path string"


def scan(
    spark: SparkSession, sources: Sequence[TableFiles], function: Callable[[TableFiles], Batches], schema: pa.Schema
) -> DataFrame:
    """Apply a function from a file to batches of a schema to each file. In which order they come is not said."""
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
    """Read those of the columns that a Parquet file has, by their present names, whatever it says of their nulls."""
    with store.fs.open(path, "rb") as f:
        file = pq.ParquetFile(f, page_checksum_verification=True)
        stored = {name: name if name in file.schema_arrow.names else renames.COLUMNS.get(name, "") for name in columns}
        names = [name for name, column in stored.items() if column in file.schema_arrow.names]
        for batch in file.iter_batches(columns=[stored[name] for name in names]):
            rows = pa.RecordBatch.from_arrays([batch[stored[name]] for name in names], names=names)
            yield renames.current_values(rows)


def pick(store: Store, path: str, column: str, wanted: Collection[str], columns: Sequence[str]) -> Batches:
    """Read the rows of which a column has a wanted value; wide columns only of row groups that hold one."""
    values = pa.array(sorted(wanted), pa.string())
    with store.fs.open(path, "rb") as f:
        file = pq.ParquetFile(f, page_checksum_verification=True)
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, columns=[column])[column]
            if pc.any(pc.is_in(ids, values)).as_py():
                for batch in file.iter_batches(1024, row_groups=[group], columns=[column, *columns]):
                    yield batch.filter(pc.is_in(batch[column], values))
