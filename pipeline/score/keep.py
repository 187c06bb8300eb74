"""Write embeddings in half precision. Spark has no such type, so each task writes its own Parquet part."""

from collections.abc import Callable, Iterator

import pyarrow as pa
from pyspark import TaskContext

from pipeline.score.embed import EMBEDDED
from pipeline.store import Store
from pipeline.write import PartWriter
from schemas.tables import EMBEDDINGS

FOLDER = "embeddings"
VECTORS = pa.schema([EMBEDDED.field("id"), pa.field("kind", pa.string()), EMBEDDED.field("embedding")])
PARTS = pa.schema([pa.field("path", pa.string())])


def keep(store: Store) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that writes batches of VECTORS as one part of `embeddings`, and gives its path there.

    The part is named by its partition, so a task that is repeated replaces what it wrote.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        task = TaskContext.get()
        path = f"{FOLDER}/part-{task.partitionId() if task else 0:05d}.parquet"
        with PartWriter(store, EMBEDDINGS, store.at(path)) as part:
            for batch in batches:
                part.writer.write_batch(batch.cast(EMBEDDINGS.schema))
        yield pa.RecordBatch.from_pylist([{"path": path}], schema=PARTS)

    return run
