"""Fetch a list of addresses as the fetch step does, in Spark tasks."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.fetch_run import FetchOutcome
from benchmarks.worker_memory import watching
from jobs.fetch import gather
from jobs.fetch_rounds import request_all, requests_folder
from jobs.session import start
from jobs.step import Context
from pipeline.io.store import Store
from pipeline.url import host
from schemas.recipe import Recipe
from schemas.tables import image_id

NUM_TASKS = 2  # as many as the peer has processes
HOST_CONNECTIONS = 8  # the peer has no bound of this kind, and none of requests a second


def run(addresses: list[str], threads: int, allow_hosts: Sequence[str], folder: Path) -> FetchOutcome:
    """Fetch addresses with NUM_TASKS parallel tasks.

    Spark is started before time counts, and has read a table once, as it has in a run before the fetch; what its
    workers import for the fetch counts, as it does for the peer's.
    """
    fetch = {
        "allow_hosts": list(allow_hosts),
        "host_requests_per_second": None,
        "host_connections": HOST_CONNECTIONS,
        "threads": threads,
        "retries": 2,
    }
    store = Store(str(folder / "out"))
    wanted = [{"image_id": image_id(url), "image_url": url, "url": url, "host": host(url)} for url in addresses]
    listed = folder / "out" / requests_folder("bench")
    listed.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(wanted), listed / "wanted.parquet")
    spark = start(f"local[{NUM_TASKS}]")
    try:
        spark.read.parquet(f"file://{listed}").groupBy("host").count().collect()
        context = Context(spark, store, Recipe(name="bench", fetch=fetch), ())
        with watching(os.getpid()) as peak:
            started = time.perf_counter()
            request_all(context, "bench")
            outcome = gather(context, None, "bench")
            seconds = time.perf_counter() - started
        return FetchOutcome(seconds, outcome.counts["ok"], peak.num_bytes)
    finally:
        spark.stop()
