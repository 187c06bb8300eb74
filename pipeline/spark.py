"""The one place that knows how pure Arrow functions run on Spark."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
from pyspark import Accumulator, AccumulatorParam
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from pipeline.store import Store
from schemas.tables import Table

Batches = Iterator[pa.RecordBatch]


def spark_schema(schema: pa.Schema) -> StructType:
    """Return the Spark form of an Arrow schema."""
    return from_arrow_schema(schema.remove_metadata())


def arrow_schema(frame: DataFrame) -> pa.Schema:
    """Return the Arrow form of a frame's schema."""
    return to_arrow_schema(frame.schema)


def map_batches(frame: DataFrame, function: Callable[[Batches], Batches], schema: pa.Schema) -> DataFrame:
    """Apply a function from Arrow batches to Arrow batches to each partition of a frame."""
    plain = pa.schema([f.remove_metadata() for f in schema])

    def run(batches: Batches) -> Batches:
        for batch in function(batches):
            yield batch.cast(plain) if batch.schema != plain else batch

    return frame.mapInArrow(run, spark_schema(schema))


def read(spark: SparkSession, store: Store, table: Table, files: list[str]) -> DataFrame:
    """Read a table's Parquet files, as a manifest lists them; no files are an empty table.

    Spark's optimizer knows a limit of 0 to be empty, and leaves joins with it out; of a frame without rows it would
    assume the worst, and shuffle what is joined.
    """
    schema = spark_schema(table.schema)
    if not files:
        return spark.createDataFrame([], schema).limit(0)
    return read_files(spark, store, files, schema)


def read_files(spark: SparkSession, store: Store, files: Sequence[str], schema: StructType | None = None) -> DataFrame:
    """Read Parquet files or folders of a store; schema is theirs unless it is given.

    Spark takes an address for a pattern (org.apache.hadoop.fs.GlobPattern), so its special characters are escaped.
    """
    reader = spark.read if schema is None else spark.read.schema(schema)
    return reader.parquet(*(re.sub(r"([\[\]{}*?\\])", r"\\\1", store.url(file)) for file in files))


def write(frame: DataFrame, store: Store, table: Table, folder: str) -> list[str]:
    """Write a frame as a table's Parquet files below a folder and return them; what lay there is replaced."""
    ordered = frame.select(*(F.col(c.name) for c in table.columns))
    ordered.write.mode("overwrite").parquet(store.url(folder))
    return store.parts(folder)


def count_by(frame: DataFrame, column: str) -> dict[str, int]:
    """Count a frame's rows by the value of a column, sorted by it."""
    rows = frame.groupBy(column).count().collect()
    return dict(sorted((str(row[column]), int(row["count"])) for row in rows))


class _Counts(AccumulatorParam[Counter[str]]):
    def zero(self, value: Counter[str]) -> Counter[str]:
        return Counter()

    def addInPlace(self, value1: Counter[str], value2: Counter[str]) -> Counter[str]:  # Spark names it so
        value1.update(value2)
        return value1


def tally(spark: SparkSession) -> Accumulator[Counter[str]]:
    """Return counts that tasks add to and the driver reads while they run."""
    return spark.sparkContext.accumulator(Counter(), _Counts())
