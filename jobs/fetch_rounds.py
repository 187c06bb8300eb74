"""The requests of a fetch: rounds of tasks, each with all addresses of its hosts."""

import heapq
import itertools
import math
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType

from jobs.step import Context, map_batches, read_files, spark_schema
from pipeline.fetch.client import Client
from pipeline.fetch.commit_log import MOVED, RESULTS, CommitLog
from pipeline.fetch.download import DownloadWorker, Results, download
from pipeline.fetch.network import Network
from pipeline.fetch.permissions import Permissions
from pipeline.fetch.scheduler import Address, Host, Scheduler
from pipeline.fetch.site_files import FOLDER, SITE_FILES, SiteFile, SiteFiles
from pipeline.images.worker import DecodeWorker
from pipeline.io.store import Store
from pipeline.url import NOWHERE, Failure, host, parse, request_url
from schemas.recipe import Fetch, Recipe
from schemas.tables import Batches

_SITE_FILE = ("fetched_at", "status", "body")
REQUESTS = pa.schema(
    [
        pa.field("image_id", pa.string()),  # null in a row with a site file
        pa.field("image_url", pa.string()),
        pa.field("url", pa.string()),  # the address to request: after redirects, not image_url
        pa.field("host", pa.string()),
        pa.field("num_redirects", pa.int32()),
        pa.field("site_file", pa.struct([SITE_FILES.field(name) for name in _SITE_FILE])),  # cached response of `url`
    ]
)
TASK_RESULT = pa.schema([pa.field("num_moved", pa.int64())])  # number of redirects to other hosts


@dataclass(frozen=True)
class FetchPaths:
    """Where the tasks of a run read and write, relative to the store's root."""

    answers: str
    images: str
    run: int
    round: int


def fetch_task(
    store: Store, paths: FetchPaths, recipe: Recipe, count: Callable[[Counter[str]], object]
) -> Callable[[Batches], Batches]:
    """Return the function that requests a partition of REQUESTS and yields a row of TASK_RESULT.

    count gets the number of answers of each status, whenever some are committed.
    """

    def run(batches: Batches) -> Batches:
        context = TaskContext.get()
        task = f"{paths.run:04d}-{paths.round:02d}-{context.partitionId() if context else 0:05d}"
        fence = fence_path(paths.answers, paths.run + 1)
        rows = [row for batch in batches for row in batch.to_pylist()]
        known = [SiteFile(row["url"], **row["site_file"]) for row in rows if row["site_file"]]
        site_files = SiteFiles(site_files_cache(store, recipe.fetch), known)

        def committed(counts: Counter[str]) -> None:
            site_files.write()
            count(counts)

        log = CommitLog(store, paths.answers, paths.images, task, fence, recipe.fetch.commit_images, committed)
        log.catch_up()
        requests = [row for row in rows if row["site_file"] is None and row["image_id"] not in log.answered]
        if requests:
            _fetch(requests, site_files, log, recipe)
        num_moved = sum(status == MOVED for status in log.answered.values())
        yield pa.RecordBatch.from_pylist([{"num_moved": num_moved}], schema=TASK_RESULT)

    return run


def fence_path(answers: str, run: int) -> str:
    """Return the file that marks the start of a run; tasks of earlier runs then commit nothing more."""
    return f"{answers}/run-{run:04d}"


def _fetch(requests: list[dict[str, Any]], site_files: SiteFiles, log: CommitLog, recipe: Recipe) -> None:
    config = recipe.fetch
    agent = f"{config.user_agent} (+{config.contact})" if config.contact else config.user_agent
    with DecodeWorker(recipe.decode) as decoder, closing(Client(config, agent, Network(config))) as client:
        permissions = Permissions(config, site_files)
        worker = DownloadWorker(config, recipe.decode.max_bytes, _scheduler(requests, config), client, permissions)
        download(worker, len(requests), Results(decoder, log, worker.release))


def _scheduler(requests: list[dict[str, Any]], config: Fetch) -> Scheduler:
    scheduler = Scheduler()
    by_host: dict[str, list[Address]] = defaultdict(list)
    for row in requests:
        address = Address(row["image_id"], row["image_url"], NOWHERE, row["num_redirects"] or 0)
        try:
            address.place = parse(request_url(row["url"], config.proxy is not None))
            by_host[address.place.host].append(address)
        except Failure as failure:
            scheduler.settled.append((address, failure))
    for name, addresses in by_host.items():
        scheduler.add(Host(name, interval=config.host_interval_seconds), addresses)
    return scheduler


WORK_FOLDER = "images/_fetch"  # request lists and answers of an unfinished fetch
ANSWERS_FOLDER = f"{WORK_FOLDER}/answers"
LISTED, ANSWERED = "listed", "answered"  # counters beside those of statuses: all requests, and those answered before
MAX_TASK_IMAGES = 200_000  # that a task may hold in memory
MAX_PLACED_HOSTS = 10_000  # the largest hosts, which are balanced by size
HOST_OF = F.udf(host, StringType(), useArrow=False)


def requests_folder(batch: str) -> str:
    """Return the folder of a batch's list of requests."""
    return f"{WORK_FOLDER}/wanted-{batch}"


def request_all(context: Context, batch: str) -> None:
    """Send the requests of a batch, round by round, until all are answered."""
    store, spark = context.store, context.spark
    folder = requests_folder(batch)
    run, started_at = _begin(store), time.time()
    for number in itertools.count():  # each round follows one redirect of an address, and their number is limited
        paths = FetchPaths(ANSWERS_FOLDER, f"images/batch={batch}", run, number)
        if store.parts(ANSWERS_FOLDER):
            pending = _pending(context, folder)
            num_pending = pending.count()
        else:
            pending = read_files(spark, store, [folder]).withColumn("num_redirects", F.lit(0))
            num_pending = num_rows(store, folder)
        if number == 0:
            total = num_rows(store, folder)
            context.tally.add(Counter({LISTED: total, ANSWERED: total - num_pending}))
        if not num_pending:
            break
        # all hosts in parallel if memory allows: the total time is then that of the slowest host
        slots = spark.sparkContext.defaultParallelism
        num_tasks = max(min(slots, num_pending), math.ceil(num_pending / MAX_TASK_IMAGES))
        tasks = _balanced(pending, _with_site_files(context, pending, started_at), num_tasks)
        function = fetch_task(store, paths, context.recipe, context.tally.add)
        done = map_batches(tasks.sortWithinPartitions("image_id"), function, TASK_RESULT).collect()
        if not any(task["num_moved"] for task in done):
            break
    pack_site_files(context)


def _balanced(pending: DataFrame, rows: DataFrame, num_tasks: int) -> DataFrame:
    """Partition rows by host into tasks of about equal size: the largest hosts first, each to the smallest task.

    Args: pending are requests, by which size is measured; rows also have site files.
    """
    if num_tasks < 2:
        return rows.coalesce(1)
    largest = pending.groupBy("host").count().orderBy(F.desc("count"), "host").limit(MAX_PLACED_HOSTS).collect()
    loads = [(0, task) for task in range(num_tasks)]
    tasks: dict[str, int] = {}
    for name, count in largest:
        load, tasks[name] = loads[0]
        heapq.heapreplace(loads, (load + count, tasks[name]))
    rest = F.pmod(F.hash("host"), F.lit(num_tasks))  # many small hosts, which hashing balances well
    task = F.udf(tasks.get, IntegerType(), useArrow=False)("host")
    return rows.repartitionById(num_tasks, F.coalesce(task, rest))


def _begin(store: Store) -> int:
    """Take the next run number; tasks of earlier runs that are still alive commit nothing more."""
    run = 1
    while not store.create(store.at(fence_path(ANSWERS_FOLDER, run)), uuid.uuid4().bytes):
        run += 1
    return run


def num_rows(store: Store, folder: str) -> int:
    """Count the rows of Parquet files from their metadata."""
    total = 0
    for part in store.parts(folder):
        with store.fs.open(store.at(part), "rb") as file:
            total += pq.read_metadata(file).num_rows
    return total


def read_answers(context: Context) -> DataFrame:
    """Read the answers committed so far."""
    schema, parts = spark_schema(RESULTS), context.store.parts(ANSWERS_FOLDER)
    if not parts:
        return context.spark.createDataFrame([], schema)
    return read_files(context.spark, context.store, parts, schema)


def _pending(context: Context, folder: str) -> DataFrame:
    """Read the REQUESTS without a final answer: those not answered yet, and those redirected to another host."""
    columns = REQUESTS.names[:-1]
    listed = read_files(context.spark, context.store, [folder])
    answers = read_answers(context)
    first = listed.join(answers, "image_id", "left_anti").withColumn("num_redirects", F.lit(0))
    # the last answer of an image is the one with most redirects; with equally many, the final one
    order = F.col("num_redirects") * 2 + (F.col("status") != MOVED).cast("int")
    last = F.max_by(F.struct("status", "image_url", F.col("location").alias("url"), "num_redirects"), order)
    last_answers = answers.groupBy("image_id").agg(last.alias("last")).select("image_id", "last.*")
    moved = last_answers.where(F.col("status") == MOVED).withColumn("host", HOST_OF("url"))
    moved = moved.join(listed, "image_id", "left_semi")
    return first.select(*columns).union(moved.select(*columns))


def site_files_cache(store: Store, config: Fetch) -> Store:
    """Return the folder of cached site files."""
    return Store(config.cache or f"{store.root}/sites")


def read_site_files(context: Context, since: float) -> DataFrame:
    """Read the cached SITE_FILES that are valid now, of each URL the last.

    Args: since is the start of the run [seconds since the epoch]: a failure (no response, or a temporary or server
    error) is valid until the run ends. Machines' clocks differ, so a response may appear to be from the future. A
    damaged or missing part is skipped, and its files are requested again.
    """
    return _valid_site_files(context, site_files_cache(context.store, context.recipe.fetch).parts(FOLDER), since)


def _valid_site_files(context: Context, parts: list[str], since: float) -> DataFrame:
    config = context.recipe.fetch
    cache, schema = site_files_cache(context.store, config), spark_schema(SITE_FILES)
    if not parts:
        return context.spark.createDataFrame([], schema)
    files = read_files(context.spark, cache, parts, schema, ignoreCorruptFiles=True, ignoreMissingFiles=True)
    is_recent = F.abs(F.lit(time.time()) - F.col("fetched_at")) < config.cache_hours * 3600
    has_failed = F.col("status").isin(0, 429) | (F.col("status") >= 500)
    last = F.max_by(F.struct("host", *_SITE_FILE), "fetched_at").alias("last")
    return (
        files.where(is_recent & ~(has_failed & (F.col("fetched_at") < since)))
        .groupBy("url")
        .agg(last)
        .select("url", "last.*")
    )


def _with_site_files(context: Context, pending: DataFrame, since: float) -> DataFrame:
    """Add the cached site files of the hosts of REQUESTS, as rows without an image."""
    files = read_site_files(context, since).join(pending.select("host").distinct(), "host", "left_semi")
    files = files.select("url", "host", F.struct(*_SITE_FILE).alias("site_file"))
    return pending.unionByName(files, allowMissingColumns=True).select(*REQUESTS.names)


def pack_site_files(context: Context) -> None:
    """Replace the parts of the cache by fewer, with what is valid for another run."""
    cache = site_files_cache(context.store, context.recipe.fetch)
    parts = cache.parts(FOLDER)
    if len(parts) > 1:
        valid = _valid_site_files(context, parts, time.time())
        valid.write.parquet(cache.url(FOLDER, f"packed-{uuid.uuid4().hex}"))
        cache.remove_files(parts)
