"""Fetch: every distinct image address that a surviving page or caption uses, asked for once."""

import time
from collections import Counter
from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.contact import check_hosts
from jobs.ledger import entries, surviving_captions, surviving_pages, without_refused
from jobs.rounds import ANSWERED, HOST_OF, UNDER_WAY, answers, ask, num_rows, wanted_folder
from jobs.step import Context, Outcome, Step
from pipeline.fetch.journal import MOVED, Tally
from pipeline.spark import count_by, map_batches, read_files, spark_schema
from pipeline.store import Manifest
from pipeline.uses import USES, image_uses
from schemas.display import percent
from schemas.errors import RecipeError
from schemas.ids import digest
from schemas.overrides import nearest
from schemas.reasons import for_status
from schemas.sums import Sum
from schemas.tables import IMAGE_STATUS, IMAGES, REJECTIONS

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
    ask(context, batch)
    return gather(context, before, batch)


def batch_of(context: Context) -> str:
    """Name what is fetched now: the same until its manifest is written."""
    before, measures = context.store.manifest("images"), context.store.manifest("measures")
    known = [*before.files["images"], *sorted(context.retry)] if before else []
    return digest(measures.digest if measures else "", *known)[:16]


def parse_classes(text: str) -> tuple[str, ...]:
    """Return the classes of failure in a list with commas. Raises: RecipeError for what is none."""
    classes = tuple(sorted({word.strip() for word in text.split(",")}))
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
        images = context.read(IMAGES, "images").where(~F.col("status").isin(*context.retry, "stalled"))
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
    return without_refused(context, wanted.distinct(), "filter")


def gather(context: Context, before: Manifest | None, batch: str) -> Outcome:
    """Gather the parts of images and of failures, old and new, and account for all."""
    store = context.store
    had = answers(context)
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
    failed = images.where("status != 'ok'")
    rules = F.create_map(*(F.lit(x) for s in IMAGE_STATUS if s != "ok" for x in (s, for_status(s))))
    ledger = entries(
        failed, "fetch", "image", rule=rules[F.col("status")], url=F.col("image_url"), detail=F.col("error")
    )
    rejections = context.write(ledger, REJECTIONS, folder)
    statuses = count_by(images, "status")
    return statuses, rejections, {for_status(s): n for s, n in statuses.items() if s != "ok"}


# How images are asked for does not shape what an answered one is, so `fetch` may change between runs.
STEP = Step("fetch", "images", ("pages", "measures"), ("corpora", "decode"), work, resumes=True, watch=watch)
