"""Fetch: download each distinct image address that a kept page or caption uses."""

import heapq
import ipaddress
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

from jobs.step import Context, Outcome, Step, count_by, map_batches, read_files, spark_schema
from jobs.tables import drop_rejected, rejection_rows, surviving_captions, surviving_pages
from pipeline.blocks import IMAGE_REFS, image_refs
from pipeline.fetch.client import Client
from pipeline.fetch.commit_log import MOVED, RESULTS, CommitLog
from pipeline.fetch.download import DownloadWorker, Results, download
from pipeline.fetch.network import Network
from pipeline.fetch.permissions import Permissions, SiteFiles
from pipeline.fetch.scheduler import Address, Host, Scheduler
from pipeline.images.worker import DecodeWorker
from pipeline.io.store import Manifest, Store
from pipeline.url import NOWHERE, Failure, host, parse, parse_listed, request_url
from schemas.display import percent
from schemas.errors import RecipeError
from schemas.integrity import Sum
from schemas.overrides import nearest
from schemas.reasons import for_status
from schemas.recipe import Fetch, Recipe
from schemas.renames import STATUSES, notice
from schemas.tables import IMAGE_STATUS, IMAGES, REJECTIONS, STEPS, Batches, digest


def check_contact(recipe: Recipe) -> None:
    """Raise RecipeError when a recipe would send requests to other people's servers without a contact."""
    config = recipe.fetch
    if {"interleaved", "caption"}.isdisjoint(recipe.corpora) or config.contact:
        return
    if config.proxy and not _is_loopback(config.proxy):
        raise _no_contact(f"the proxy {config.proxy} sends requests to other people's servers")
    if not config.proxy and not config.allow_hosts:
        raise _no_contact("images are requested from other people's servers")


def _is_loopback(proxy: str) -> bool:
    name = host(proxy)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _no_contact(why: str) -> RecipeError:
    return RecipeError(
        f"{why}, which need a contact: --set fetch.contact=https://... or mailto:..., a web page or address that "
        "explains the run"
    )


def check_hosts(listed: DataFrame, config: Fetch) -> None:
    """Raise RecipeError when REQUESTS include hosts beyond fetch.allow_hosts, and the recipe has no contact."""
    if config.contact or config.proxy:
        return
    allowed = {parse_listed(name).host for name in config.allow_hosts}
    other = listed.where(~F.col("host").isin("", *allowed)).first()
    if other:
        raise _no_contact(f"images are requested from {other['host']}, one of other people's servers")


REQUESTS = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("url", pa.string()),  # the address to request: after redirects, not image_url
        pa.field("host", pa.string()),
        pa.field("num_redirects", pa.int32()),
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
    started_at: float  # clock of the driver


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
        log = CommitLog(store, paths.answers, paths.images, task, fence, recipe.fetch.commit_images, count)
        log.catch_up()
        requests = [row for batch in batches for row in batch.to_pylist() if row["image_id"] not in log.answered]
        if requests:
            _fetch(requests, log, store, paths, recipe)
        num_moved = sum(status == MOVED for status in log.answered.values())
        yield pa.RecordBatch.from_pylist([{"num_moved": num_moved}], schema=TASK_RESULT)

    return run


def fence_path(answers: str, run: int) -> str:
    """Return the file that marks the start of a run; tasks of earlier runs then commit nothing more."""
    return f"{answers}/run-{run:04d}"


def _fetch(requests: list[dict[str, Any]], log: CommitLog, store: Store, paths: FetchPaths, recipe: Recipe) -> None:
    config = recipe.fetch
    cache = Store(config.cache or f"{store.root}/sites")
    sites = SiteFiles(cache, config.cache_hours * 3600, paths.started_at)
    agent = f"{config.user_agent} (+{config.contact})" if config.contact else config.user_agent
    with DecodeWorker(recipe.decode) as decoder, closing(Client(config, agent, Network(config))) as client:
        permissions = Permissions(config, sites)
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
_LISTED, _ANSWERED = "listed", "answered"  # counters beside those of statuses: all requests, and those answered before
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
        paths = FetchPaths(ANSWERS_FOLDER, f"images/batch={batch}", run, number, started_at)
        if store.parts(ANSWERS_FOLDER):
            pending = _pending(context, folder)
            num_pending = pending.count()
        else:
            pending = read_files(spark, store, [folder]).withColumn("num_redirects", F.lit(0))
            num_pending = num_rows(store, folder)
        if number == 0:
            total = num_rows(store, folder)
            context.tally.add(Counter({_LISTED: total, _ANSWERED: total - num_pending}))
        # all hosts in parallel if memory allows: the total time is then that of the slowest host
        slots = spark.sparkContext.defaultParallelism
        num_tasks = max(min(slots, num_pending), math.ceil(num_pending / MAX_TASK_IMAGES))
        tasks = _balanced(pending, num_tasks).sortWithinPartitions("image_id")
        function = fetch_task(store, paths, context.recipe, context.tally.add)
        done = map_batches(tasks, function, TASK_RESULT).collect() if num_pending else []
        if not any(task["num_moved"] for task in done):
            break


def _balanced(pending: DataFrame, num_tasks: int) -> DataFrame:
    """Partition by host into tasks of about equal size: the largest hosts first, each to the smallest task."""
    if num_tasks < 2:
        return pending.coalesce(1)
    largest = pending.groupBy("host").count().orderBy(F.desc("count"), "host").limit(MAX_PLACED_HOSTS).collect()
    loads = [(0, task) for task in range(num_tasks)]
    tasks: dict[str, int] = {}
    for name, count in largest:
        load, tasks[name] = loads[0]
        heapq.heapreplace(loads, (load + count, tasks[name]))
    rest = F.pmod(F.hash("host"), F.lit(num_tasks))  # many small hosts, which hashing balances well
    task = F.udf(tasks.get, IntegerType(), useArrow=False)("host")
    return pending.repartitionById(num_tasks, F.coalesce(task, rest))


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
    listed = read_files(context.spark, context.store, [folder])
    answers = read_answers(context)
    first = listed.join(answers, "image_id", "left_anti").withColumn("num_redirects", F.lit(0))
    # the last answer of an image is the one with most redirects; with equally many, the final one
    order = F.col("num_redirects") * 2 + (F.col("status") != MOVED).cast("int")
    last = F.max_by(F.struct("status", "image_url", F.col("location").alias("url"), "num_redirects"), order)
    last_answers = answers.groupBy("image_id").agg(last.alias("last")).select("image_id", "last.*")
    moved = last_answers.where(F.col("status") == MOVED).withColumn("host", HOST_OF("url"))
    moved = moved.join(listed, "image_id", "left_semi")
    return first.select(*REQUESTS.names).union(moved.select(*REQUESTS.names))


FAILED = "failed-"


def work(context: Context) -> Outcome:
    """Request the images that are used and not answered yet, and add the answers to `images`.

    A killed fetch resumes: its requests are listed once, and committed answers are kept. An address that redirects to
    another host is requested in the next round, by the task of that host.

    Raises: RecipeError when other people's servers would be contacted without a contact.
    """
    store = context.store
    before = store.manifest("images")
    batch = batch_of(context)
    folder = requests_folder(batch)
    if not store.fs.exists(store.at(folder, "_SUCCESS")):
        _list(context, before).write.mode("overwrite").parquet(store.url(folder))
    if before and not num_rows(store, folder) and not store.parts(ANSWERS_FOLDER):
        # the same output, so that no later step runs again
        return Outcome(before.files, before.counts, before.rejected, before.notes, [WORK_FOLDER], before.judged)
    check_hosts(read_files(context.spark, store, [folder]), context.recipe.fetch)
    request_all(context, batch)
    return gather(context, before, batch)


def batch_of(context: Context) -> str:
    """Return the id of the current batch, which is stable until its manifest is written."""
    before, measures = context.store.manifest("images"), context.store.manifest("measures")
    known = [*before.files["images"], *sorted(context.retry)] if before else []
    return digest(measures.digest if measures else "", *known)[:16]


def parse_classes(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of failure classes. Raises: RecipeError for an unknown class."""
    words = [word.strip() for word in text.split(",")]
    notice("--retry", [(word, STATUSES[word]) for word in words if word in STATUSES])
    classes = tuple(sorted({STATUSES.get(word, word) for word in words}))
    failures = [status for status in IMAGE_STATUS if status != "ok"]
    for name in classes:
        if name not in failures:
            raise RecipeError(
                f"--retry: unknown class {name!r}{nearest(name, failures)}; known are {', '.join(failures)}"
            )
    return classes


def _list(context: Context, before: Manifest | None) -> DataFrame:
    """List the addresses to request, as REQUESTS."""
    used = _used_images(context)
    if before:
        images = context.read(IMAGES).replace(STATUSES, subset=["status"])
        images = images.where(~F.col("status").isin(*context.retry, "stalled"))
        used = used.join(images, "image_id", "left_anti")
    return used.select("image_id", "image_url", F.col("image_url").alias("url"), HOST_OF("image_url").alias("host"))


def _used_images(context: Context) -> DataFrame:
    """List the distinct images that the recipe's corpora can use."""
    corpora = context.recipe.corpora
    columns = ("image_id", "image_url")
    used = context.spark.createDataFrame([], spark_schema(IMAGE_REFS)).select(*columns)
    if "interleaved" in corpora:
        used = used.union(map_batches(surviving_pages(context, "filter"), image_refs, IMAGE_REFS).select(*columns))
    if "caption" in corpora:
        used = used.union(surviving_captions(context).select(*columns))
    return drop_rejected(context, used.distinct(), "filter")


def gather(context: Context, before: Manifest | None, batch: str) -> Outcome:
    """Combine the old and new parts of images and failures, write rejections, and count all."""
    store = context.store
    answers = read_answers(context)
    failed = answers.where(~F.col("status").isin("ok", MOVED)).withColumn("bytes", F.lit(None).cast("binary"))
    known, old_rejections = (before.files["images"], before.files["rejections"]) if before else ([], [])
    stale = [file for file in known if FAILED in file]
    if stale:
        old = read_files(context.spark, store, stale, spark_schema(IMAGES.schema))
        failed = failed.unionByName(old.join(answers, "image_id", "left_anti"), allowMissingColumns=True)
    written = answers.where("part is not null").select("part", "part_bytes", "part_sha256").distinct().collect()
    parts = sorted({row["part"] for row in written})
    sums: dict[str, Sum] = {row["part"]: {"num_bytes": row["part_bytes"], "sha256": row["part_sha256"]}
                            for row in written if row["part_sha256"]}  # fmt: skip
    for orphan in set(store.parts("images")).difference(known, parts):
        store.remove(orphan)  # of a task that died before its commit, in this or an abandoned batch
    files = [file for file in known if FAILED not in file] + parts
    files += context.write(failed, IMAGES, f"images/batch={FAILED}{batch}")
    statuses, rejections, rejected = _account(context, files, f"rejections/fetch/batch={batch}")
    notes = {"came": f"{percent(statuses.get('ok', 0), sum(statuses.values())) or 'none'} of the requested images"}
    leftovers, judged = [WORK_FOLDER, *stale, *old_rejections], {"image": sum(statuses.values())}
    return Outcome({"images": files, "rejections": rejections}, statuses, rejected, notes, leftovers, judged, sums)


def watch(context: Context) -> Callable[[], str]:
    """Return the function that describes progress: images done of all, and of this run: per second, and by class."""
    started = time.monotonic()

    def status() -> str:
        counts = Counter(context.tally.value)
        total, before = counts.pop(_LISTED, 0), counts.pop(_ANSWERED, 0)
        del counts[MOVED]
        new = counts.total()
        if not before + new:
            return f"{total:,} images to fetch" if total else ""
        shares = ", ".join(f"{name} {percent(n, new)}" for name, n in counts.most_common(5) if n)
        speed = new / (time.monotonic() - started)
        return f"{before + new:,} of {total:,} images, {speed:,.0f}/s{shares and '; ' + shares}"

    return status


def _account(context: Context, files: list[str], folder: str) -> tuple[dict[str, int], list[str], dict[str, int]]:
    """Count images by status, and write a rejection for each failure."""
    images = read_files(context.spark, context.store, files, spark_schema(IMAGES.schema))
    images = images.replace(STATUSES, subset=["status"])
    failed = images.where("status != 'ok'")
    rules = F.create_map(*(F.lit(x) for s in IMAGE_STATUS if s != "ok" for x in (s, for_status(s))))
    rows = rejection_rows(
        failed, "fetch", "image", rule=rules[F.col("status")], url=F.col("image_url"), detail=F.col("error")
    )
    rejections = context.write(rows, REJECTIONS, folder)
    statuses = count_by(images, "status")
    return statuses, rejections, {for_status(s): n for s, n in statuses.items() if s != "ok"}


# Section `fetch` may change between runs: how an image is requested does not change the stored image.
STEP = Step(STEPS["fetch"], ("corpora", "decode"), work, resumes=True, watch=watch)
