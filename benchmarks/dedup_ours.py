"""Near-duplicate texts on Spark, on one core: `python -m benchmarks.dedup_ours FOLDER`, with FOLDER/documents.parquet.

Prints JSON: start_seconds (Java, and a first job that starts a worker), seconds (from the file to the list of what
goes), signatures_per_second (one process without Spark), peak bytes of the largest worker and of Java, and clusters by
document.
"""

import json
import os
import sys
import time
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.peak_memory import peak_bytes
from benchmarks.worker_memory import watching
from jobs import session
from jobs.near_duplicates import near_duplicate_texts, signer, with_signatures
from schemas.recipe import MinHash

SAMPLE = 20_000  # documents whose signatures are timed alone
ROWS = 256  # of a batch, as jobs/session.py asks of Spark


def main(folder: Path) -> None:
    """Compute signatures, find and cluster duplicates, and print the result."""
    config, file = MinHash(), folder / "documents.parquet"
    batches = list(islice(pq.ParquetFile(file).iter_batches(ROWS, columns=["text"]), SAMPLE // ROWS))
    list(signer(config)(iter(batches[:1])))  # makes the table of characters before the clock starts
    started = time.perf_counter()
    list(signer(config)(iter(batches)))
    signatures_per_second = sum(map(len, batches)) / (time.perf_counter() - started)
    del batches

    started = time.perf_counter()
    spark = session.start("local[1]")
    spark.read.parquet(str(file)).limit(1).mapInArrow(
        lambda batches: batches, "page_id string, captured_at string, text string"
    ).count()
    start_seconds = time.perf_counter() - started
    with watching(os.getpid()) as peak:
        started = time.perf_counter()
        signed = with_signatures(spark.read.parquet(str(file)), config)
        gone = near_duplicate_texts(signed, config).select("page_id", "detail").toPandas()
        seconds = time.perf_counter() - started
    assert spark.sparkContext._jvm is not None
    java_bytes = peak_bytes(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())
    spark.stop()
    clusters = dict(zip(gone["page_id"], gone["detail"], strict=True))
    found = {
        "start_seconds": start_seconds,
        "seconds": seconds,
        "signatures_per_second": signatures_per_second,
        "worker_bytes": peak.num_bytes,
        "java_bytes": java_bytes,
        "clusters": clusters | {survivor: survivor for survivor in clusters.values()},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
