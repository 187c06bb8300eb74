"""Fetch: every distinct image address that a surviving page or caption uses, requested once."""

import heapq
import ipaddress
import itertools
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType

from jobs.step import Context, Outcome, Step, count_by, map_batches, read_files, spark_schema
from jobs.tables import drop_rejected, rejection_rows, surviving_captions, surviving_pages
from pipeline.blocks import USES, image_uses
from pipeline.fetch.client import Client
from pipeline.fetch.commit_log import ANSWERS, MOVED, CommitLog, Tally
from pipeline.fetch.download import DownloadWorker, Results, download
from pipeline.fetch.network import Network
from pipeline.fetch.permissions import Permissions, SiteFiles
from pipeline.fetch.scheduler import Address, Host, Scheduler
from pipeline.images.worker import DecodeWorker
from pipeline.io.store import Manifest, Store
from pipeline.url import NOWHERE, Failure, asked, host, parse, parse_listed
from schemas.display import percent
from schemas.errors import RecipeError
from schemas.integrity import Sum
from schemas.overrides import nearest
from schemas.reasons import for_status
from schemas.recipe import Fetch, Recipe
from schemas.renames import STATUSES, notice
from schemas.tables import IMAGE_STATUS, IMAGES, REJECTIONS, STEPS, Batches, digest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def check_contact(recipe: Recipe) -> None:
    """Raise RecipeError when a recipe would have strangers' servers asked without telling them by whom."""
    config = recipe.fetch
    if {"interleaved", "caption"}.isdisjoint(recipe.corpora) or config.contact:
        return
    if config.proxy and not _is_loopback(config.proxy):
        raise _no_contact(f"the proxy {config.proxy} asks strangers' servers")
    if not config.proxy and not config.allow_hosts:
        raise _no_contact("images are asked of strangers' servers")


def _is_loopback(proxy: str) -> bool:
    name = host(proxy)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _no_contact(why: str) -> RecipeError:
    return RecipeError(
        f"{why}, whose owners are to know by whom: --set fetch.contact=https://... or mailto:..., "
        "a page or an address where they learn about the run"
    )


def check_hosts(listed: "DataFrame", config: Fetch) -> None:
    """Raise RecipeError when a list of WANTED has strangers' hosts, and the recipe does not say who asks them."""
    if config.contact or config.proxy:
        return
    from pyspark.sql import functions as F

    named = {parse_listed(name).host for name in config.allow_hosts}
    stranger = listed.where(~F.col("host").isin("", *named)).first()
    if stranger:
        raise _no_contact(f"{stranger['host']} is asked for images")


WANTED = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("url", pa.string()),  # where to ask, which redirects change
        pa.field("host", pa.string()),
        pa.field("num_redirects", pa.int32()),
    ]
)
ASKED = pa.schema([pa.field("num_moved", pa.int64())])  # answers that lead to another host


@dataclass(frozen=True)
class FetchPaths:
    """Where a run's tasks read and write, relative to the store's root."""

    answers: str
    images: str
    run: int
    round: int
    started_at: float  # clock of the driver


def fetch_task(store: Store, places: FetchPaths, recipe: Recipe) -> Callable[[Batches], Batches]:
    """Return the function that asks for a partition of WANTED, and yields a row of ASKED."""

    def run(batches: Batches) -> Batches:
        context = TaskContext.get()
        task = f"{places.run:04d}-{places.round:02d}-{context.partitionId() if context else 0:05d}"
        fence = fence_path(places.answers, places.run + 1)
        journal = CommitLog(store, places.answers, places.images, task, fence, recipe.fetch.commit_images)
        journal.catch_up()
        wanted = [row for batch in batches for row in batch.to_pylist() if row["image_id"] not in journal.answered]
        if wanted:
            _fetch(wanted, journal, store, places, recipe)
        num_moved = sum(status == MOVED for status in journal.answered.values())
        yield pa.RecordBatch.from_pylist([{"num_moved": num_moved}], schema=ASKED)

    return run


def fence_path(answers: str, run: int) -> str:
    """Name the file by which a run says that it has begun, and that those before it are over."""
    return f"{answers}/run-{run:04d}"


def _fetch(wanted: list[dict[str, Any]], journal: CommitLog, store: Store, places: FetchPaths, recipe: Recipe) -> None:
    config = recipe.fetch
    cache = Store(config.cache or f"{store.root}/sites")
    sites = SiteFiles(cache, config.cache_hours * 3600, places.started_at)
    agent = f"{config.user_agent} (+{config.contact})" if config.contact else config.user_agent
    with DecodeWorker(recipe.decode) as decoder, closing(Client(config, agent, Network(config))) as client:
        permissions = Permissions(config, sites)
        opener = DownloadWorker(config, recipe.decode.max_bytes, _schedule(wanted, config), client, permissions)
        download(opener, len(wanted), Results(decoder, journal, opener.release))


def _schedule(wanted: list[dict[str, Any]], config: Fetch) -> Scheduler:
    schedule = Scheduler()
    of_host: dict[str, list[Address]] = defaultdict(list)
    for row in wanted:
        address = Address(row["image_id"], row["image_url"], NOWHERE, row["num_redirects"] or 0)
        try:
            address.place = parse(asked(row["url"], config.proxy is not None))
            of_host[address.place.host].append(address)
        except Failure as failure:
            schedule.settled.append((address, failure))
    for name, addresses in of_host.items():
        schedule.add(Host(name, interval=config.host_interval_seconds), addresses)
    return schedule


UNDER_WAY = "images/_fetch"  # what a fetch has listed and had answered, until it is over
ANSWERED = f"{UNDER_WAY}/answers"
MAX_TASK_IMAGES = 200_000  # what a task's list may hold in memory
MAX_PLACED_HOSTS = 10_000  # whose sizes are looked at
HOST_OF = F.udf(host, StringType(), useArrow=False)


def wanted_folder(batch: str) -> str:
    """Name the folder of a batch's list."""
    return f"{UNDER_WAY}/wanted-{batch}"


def request_all(context: Context, batch: str) -> None:
    """Ask for what a batch lists until all of it is answered."""
    store, spark = context.store, context.spark
    wanted = wanted_folder(batch)
    run, started_at = _begin(store), time.time()
    for number in itertools.count():  # each round leads an address one redirect on, and those are bounded
        places = FetchPaths(ANSWERED, f"images/batch={batch}", run, number, started_at)
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
        done = map_batches(tasks, fetch_task(store, places, context.recipe), ASKED).collect() if num_pending else []
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
    while not store.create(store.at(fence_path(ANSWERED, run)), b""):
        run += 1
    return run


def num_rows(store: Store, folder: str) -> int:
    """Count a table's rows by its files' metadata alone."""
    total = 0
    for part in store.parts(folder):
        with store.fs.open(store.at(part), "rb") as file:
            total += pq.read_metadata(file).num_rows
    return total


def read_answers(context: Context) -> DataFrame:
    """Read the answers committed so far."""
    schema, parts = spark_schema(ANSWERS), context.store.parts(ANSWERED)
    if not parts:
        return context.spark.createDataFrame([], schema)
    return read_files(context.spark, context.store, parts, schema)


def _pending(context: Context, wanted: str) -> DataFrame:
    """Read what is still to be asked for: what has no answer at its first address, and what last was led on."""
    listed = read_files(context.spark, context.store, [wanted])
    had = read_answers(context)
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


FAILED = "failed-"


def work(context: Context) -> Outcome:
    """Ask for what is wanted and not yet answered, and add the answers to `images`.

    A killed fetch goes on where it stood: its addresses are listed once, and committed answers stay. An address that
    leads to another host goes on in the next round, in the task to which that host belongs.

    Raises: RecipeError when strangers would be asked without a contact.
    """
    store = context.store
    before = store.manifest("images")
    batch = batch_of(context)
    wanted = wanted_folder(batch)
    if not store.fs.exists(store.at(wanted, "_SUCCESS")):
        _list(context, before).write.mode("overwrite").parquet(store.url(wanted))
    if before and not num_rows(store, wanted) and not store.parts(ANSWERED):
        # the same output, so that no later step runs again
        return Outcome(before.files, before.counts, before.rejected, before.notes, [UNDER_WAY], before.judged)
    check_hosts(read_files(context.spark, store, [wanted]), context.recipe.fetch)
    request_all(context, batch)
    return gather(context, before, batch)


def batch_of(context: Context) -> str:
    """Name what is fetched now: the same until its manifest is written."""
    before, measures = context.store.manifest("images"), context.store.manifest("measures")
    known = [*before.files["images"], *sorted(context.retry)] if before else []
    return digest(measures.digest if measures else "", *known)[:16]


def parse_classes(text: str) -> tuple[str, ...]:
    """Return the classes of failure in a list with commas. Raises: RecipeError for what is none."""
    words = [word.strip() for word in text.split(",")]
    notice("--retry", [(word, STATUSES[word]) for word in words if word in STATUSES])
    classes = tuple(sorted({STATUSES.get(word, word) for word in words}))
    failures = [status for status in IMAGE_STATUS if status != "ok"]
    for name in classes:
        if name not in failures:
            raise RecipeError(
                f"--retry: unknown class {name!r}{nearest(name, failures)}; there are {', '.join(failures)}"
            )
    return classes


def _list(context: Context, before: Manifest | None) -> DataFrame:
    """List what is to be asked for, as WANTED."""
    wanted = _wanted(context)
    if before:
        images = (
            context.read(IMAGES)
            .replace(STATUSES, subset=["status"])
            .where(~F.col("status").isin(*context.retry, "stalled"))
        )
        wanted = wanted.join(images, "image_id", "left_anti")
    return wanted.select("image_id", "image_url", F.col("image_url").alias("url"), HOST_OF("image_url").alias("host"))


def _wanted(context: Context) -> DataFrame:
    """List the distinct images that the recipe's corpora can use."""
    corpora = context.recipe.corpora
    columns = ("image_id", "image_url")
    wanted = context.spark.createDataFrame([], spark_schema(USES)).select(*columns)
    if "interleaved" in corpora:
        wanted = wanted.union(map_batches(surviving_pages(context, "filter"), image_uses, USES).select(*columns))
    if "caption" in corpora:
        wanted = wanted.union(surviving_captions(context).select(*columns))
    return drop_rejected(context, wanted.distinct(), "filter")


def gather(context: Context, before: Manifest | None, batch: str) -> Outcome:
    """Gather the parts of images and of failures, old and new, and account for all."""
    store = context.store
    had = read_answers(context)
    failed = had.where(~F.col("status").isin("ok", MOVED)).withColumn("bytes", F.lit(None).cast("binary"))
    known, old_rejections = (before.files["images"], before.files["rejections"]) if before else ([], [])
    stale = [file for file in known if FAILED in file]
    if stale:
        old = read_files(context.spark, store, stale, spark_schema(IMAGES.schema))
        failed = failed.unionByName(old.join(had, "image_id", "left_anti"), allowMissingColumns=True)
    written = had.where("part is not null").select("part", "part_bytes", "part_sha256").distinct().collect()
    parts = sorted({row["part"] for row in written})
    sums: dict[str, Sum] = {row["part"]: {"num_bytes": row["part_bytes"], "sha256": row["part_sha256"]}
                            for row in written if row["part_sha256"]}  # fmt: skip
    for orphan in set(store.parts("images")).difference(known, parts):
        store.remove(orphan)  # of an attempt that died before it could commit, in this batch or one given up
    files = [file for file in known if FAILED not in file] + parts
    files += context.write(failed, IMAGES, f"images/batch={FAILED}{batch}")
    statuses, rejections, rejected = _account(context, files, f"rejections/fetch/batch={batch}")
    notes = {"came": f"{percent(statuses.get('ok', 0), sum(statuses.values())) or 'none'} of what was asked for"}
    leftovers, judged = [UNDER_WAY, *stale, *old_rejections], {"image": sum(statuses.values())}
    return Outcome({"images": files, "rejections": rejections}, statuses, rejected, notes, leftovers, judged, sums)


def watch(context: Context) -> Callable[[], str]:
    """Return what tells how far a fetch is: images of all, a second, and by class."""
    store, wanted = context.store, wanted_folder(batch_of(context))
    tally = Tally(store, ANSWERED)
    before = tally.refresh().total() - tally.counts[MOVED]
    started = time.monotonic()
    total = 0

    def tell() -> str:
        nonlocal total
        counts = Counter({name: n for name, n in tally.refresh().items() if name != MOVED})
        if not total and store.fs.exists(store.at(wanted, "_SUCCESS")):
            total = num_rows(store, wanted)
        if not counts:
            return f"{total:,} images wanted" if total else ""
        done = counts.total()
        speed = (done - before) / (time.monotonic() - started)
        shares = ", ".join(f"{name} {percent(n, done)}" for name, n in counts.most_common(5))
        return f"{done:,} of {total:,} images, {speed:,.0f}/s; {shares}"

    return tell


def _account(context: Context, files: list[str], folder: str) -> tuple[dict[str, int], list[str], dict[str, int]]:
    """Count images by status, and write a rejection for each that failed."""
    images = read_files(context.spark, context.store, files, spark_schema(IMAGES.schema))
    images = images.replace(STATUSES, subset=["status"])
    failed = images.where("status != 'ok'")
    rules = F.create_map(*(F.lit(x) for s in IMAGE_STATUS if s != "ok" for x in (s, for_status(s))))
    ledger = rejection_rows(
        failed, "fetch", "image", rule=rules[F.col("status")], url=F.col("image_url"), detail=F.col("error")
    )
    rejections = context.write(ledger, REJECTIONS, folder)
    statuses = count_by(images, "status")
    return statuses, rejections, {for_status(s): n for s, n in statuses.items() if s != "ok"}


# How images are asked for does not shape what an answered one is, so `fetch` may change between runs.
STEP = Step(STEPS["fetch"], ("corpora", "decode"), work, resumes=True, watch=watch)
