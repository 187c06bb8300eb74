"""Ask for all that is wanted, in rounds: a redirect to another host is followed in the next, by that host's task."""

import heapq
import itertools
import math
import time

import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType

from jobs.step import Context
from pipeline.fetch.journal import ANSWERS, MOVED
from pipeline.fetch.task import ASKED, WANTED, Places, fence_of, fetch
from pipeline.fetch.url import host
from pipeline.spark import map_batches, read_files, spark_schema
from pipeline.store import Store

UNDER_WAY = "images/_fetch"  # what a fetch has listed and had answered, until it is over
ANSWERED = f"{UNDER_WAY}/answers"
MAX_TASK_IMAGES = 200_000  # what a task's list may hold in memory
MAX_PLACED_HOSTS = 10_000  # whose sizes are looked at
HOST_OF = F.udf(host, StringType(), useArrow=False)


def wanted_folder(batch: str) -> str:
    """Name the folder of a batch's list."""
    return f"{UNDER_WAY}/wanted-{batch}"


def ask(context: Context, batch: str) -> None:
    """Ask for what a batch lists until all of it is answered."""
    store, spark = context.store, context.spark
    wanted = wanted_folder(batch)
    run, started_at = _begin(store), time.time()
    for number in itertools.count():  # each round leads an address one redirect on, and those are bounded
        places = Places(ANSWERED, f"images/batch={batch}", run, number, started_at)
        if store.parts(ANSWERED):
            pending = _pending(context, wanted)
            num_pending = pending.count()
        else:
            pending = read_files(spark, store, [wanted]).withColumn("num_redirects", F.lit(0))
            num_pending = num_rows(store, wanted)
        # every host at once where memory allows: its own limit then bounds the time of the whole
        slots = spark.sparkContext.defaultParallelism
        num_tasks = max(min(slots, num_pending), math.ceil(num_pending / MAX_TASK_IMAGES))
        tasks = _spread(pending, num_tasks).sortWithinPartitions("image_id")
        done = map_batches(tasks, fetch(store, places, context.recipe), ASKED).collect() if num_pending else []
        if not any(task["num_moved"] for task in done):
            break


def _spread(pending: DataFrame, num_tasks: int) -> DataFrame:
    """Give each host to one task, and each task about as much: the largest hosts first, always to the emptiest."""
    if num_tasks < 2:
        return pending.coalesce(1)
    largest = pending.groupBy("host").count().orderBy(F.desc("count"), "host").limit(MAX_PLACED_HOSTS).collect()
    loads = [(0, task) for task in range(num_tasks)]
    tasks: dict[str, int] = {}
    for name, count in largest:
        load, tasks[name] = loads[0]
        heapq.heapreplace(loads, (load + count, tasks[name]))
    rest = F.pmod(F.hash("host"), F.lit(num_tasks))  # so many that chance spreads them well
    task = F.udf(tasks.get, IntegerType(), useArrow=False)("host")
    return pending.repartitionById(num_tasks, F.coalesce(task, rest))


def _begin(store: Store) -> int:
    """Claim the next number of a run; whatever still runs under an earlier one commits no more."""
    run = 1
    while not store.create(store.at(fence_of(ANSWERED, run)), b""):
        run += 1
    return run


def num_rows(store: Store, folder: str) -> int:
    """Count a table's rows by its files' metadata alone."""
    total = 0
    for part in store.parts(folder):
        with store.fs.open(store.at(part), "rb") as file:
            total += pq.read_metadata(file).num_rows
    return total


def answers(context: Context) -> DataFrame:
    """Read the answers committed so far."""
    schema, parts = spark_schema(ANSWERS), context.store.parts(ANSWERED)
    if not parts:
        return context.spark.createDataFrame([], schema)
    return read_files(context.spark, context.store, parts, schema)


def _pending(context: Context, wanted: str) -> DataFrame:
    """Read what is still to be asked for: what has no answer at its first address, and what last was led on."""
    listed = read_files(context.spark, context.store, [wanted])
    had = answers(context)
    first = listed.join(had, "image_id", "left_anti").withColumn("num_redirects", F.lit(0))
    # an image's last answer is that which came after most redirects, and a final one after the one that led to it
    order = F.col("num_redirects") * 2 + (F.col("status") != MOVED).cast("int")
    last = F.max_by(F.struct("status", "image_url", F.col("location").alias("url"), "num_redirects"), order)
    led_on = (
        had.groupBy("image_id").agg(last.alias("last")).select("image_id", "last.*").where(F.col("status") == MOVED)
    )
    led_on = led_on.withColumn("host", HOST_OF("url"))
    led_on = led_on.join(listed, "image_id", "left_semi")
    return first.select(*WANTED.names).union(led_on.select(*WANTED.names))
