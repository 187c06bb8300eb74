"""Fetch: download each distinct image address that a kept page or caption uses."""

import ipaddress
import time
from collections import Counter
from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.fetch_rounds import (
    ANSWERED,
    ANSWERS_FOLDER,
    HOST_OF,
    LISTED,
    WORK_FOLDER,
    num_rows,
    read_answers,
    request_all,
    requests_folder,
)
from jobs.step import Context, Outcome, Step, count_by, map_batches, read_files, spark_schema
from jobs.tables import drop_rejected, rejection_rows, surviving_captions, surviving_pages
from pipeline.blocks import IMAGE_REFS, image_refs
from pipeline.fetch.commit_log import MOVED
from pipeline.io.store import Manifest
from pipeline.url import host, parse_listed
from schemas.display import percent
from schemas.errors import RecipeError
from schemas.integrity import Sum
from schemas.overrides import nearest
from schemas.reasons import for_status
from schemas.recipe import Fetch, Recipe
from schemas.renames import STATUSES, notice
from schemas.tables import IMAGE_STATUS, IMAGES, REJECTIONS, STEPS, digest


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
        total, before = counts.pop(LISTED, 0), counts.pop(ANSWERED, 0)
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
