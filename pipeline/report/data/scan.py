"""Files to Spark frames: each file is read in one task by pyarrow, through the file system of the run's address.

Spark's own reader needs a connector for every kind of address, and one schema for all files; this needs neither.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from pipeline.lookup import UNREADABLE, damaged
from pipeline.report.data.sources import Source
from pipeline.spark import map_batches, spark_schema
from pipeline.store import Store

FILES_PER_TASK = 8  # about: for so many files at once a task is started
_FILES = "kind string, of string, path string"

Batches = Iterator[pa.RecordBatch]


def scan(
    spark: SparkSession, sources: Sequence[Source], function: Callable[[Source], Batches], schema: pa.Schema
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
                source = Source(**row)
                try:
                    yield from function(source)
                except UNREADABLE as error:
                    raise damaged(source.path, error) from error

    return map_batches(files, run, schema)


def read(store: Store, path: str, columns: Sequence[str]) -> Batches:
    """Read those of the columns that a Parquet file has, whatever it says of their nulls."""
    with store.fs.open(path, "rb") as f:
        file = pq.ParquetFile(f, page_checksum_verification=True)
        names = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=names):
            yield pa.RecordBatch.from_arrays([batch[name] for name in names], names=names)


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
