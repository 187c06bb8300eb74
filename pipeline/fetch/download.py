"""Call img2dataset, with its pyspark distributor, on a list of image addresses."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from pyspark.sql import SparkSession

from pipeline.store import Store
from schemas.errors import TransientError
from schemas.recipe import Fetch

# Libraries below img2dataset ask the network for newer versions of themselves, or want an account, unless told not to.
QUIET = {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled", "WANDB_SILENT": "true"}


def asked(image_url: str, config: Fetch) -> str:
    """Return the address that is really asked for: behind a proxy https becomes http, which a proxy can read."""
    parts = urlsplit(image_url)
    return parts._replace(scheme="http").geturl() if config.proxy and parts.scheme == "https" else image_url


def download(spark: SparkSession, store: Store, folder: str, config: Fetch) -> list[str]:
    """Download the addresses listed in `folder/urls/*.parquet` (columns url, image_id, image_url).

    `spark` must be the active session: img2dataset looks for it. A shard that was finished before is not
    asked for again: img2dataset leaves a statistics file beside each. Bytes are stored as they came; decoding is ours.
    Returns: the Parquet files written, relative to the store's root.
    Raises: TransientError when img2dataset gave shards up.
    """
    os.environ.update(QUIET)  # for img2dataset's own logger process
    from img2dataset import download as run

    out = f"{folder}/bytes"
    store.fs.makedirs(store.at(out), exist_ok=True)
    proxy = {"http_proxy": config.proxy} if config.proxy else {}
    with _quiet(store, f"{folder}/img2dataset.log"), _environment(spark, QUIET | proxy):
        run(
            url_list=store.at(folder, "urls") if store.local else f"{store.root}/{folder}/urls",
            input_format="parquet",
            url_col="url",
            save_additional_columns=["image_id", "image_url"],
            output_folder=store.at(out) if store.local else f"{store.root}/{out}",
            output_format="parquet",
            distributor="pyspark",
            number_sample_per_shard=config.shard_images,
            thread_count=config.threads,
            timeout=config.timeout_seconds,
            retries=config.retries,
            disable_all_reencoding=True,
            extract_exif=False,
            compute_hash=None,
            user_agent_token=config.user_agent,
            incremental_mode="incremental",
        )
    names = [n.rsplit("/", 1)[-1] for n in store.fs.ls(store.at(out), detail=False)]
    shards = {n.removesuffix(".parquet") for n in names if n.endswith(".parquet")}
    finished = {n.removesuffix("_stats.json") for n in names if n.endswith("_stats.json")}
    if shards - finished:
        raise TransientError(f"{len(shards - finished)} shards of images were given up; run the same command again")
    return sorted(f"{out}/{s}.parquet" for s in finished)


@contextmanager
def _environment(spark: SparkSession, variables: dict[str, str]) -> Iterator[None]:
    """Give the workers of the block's jobs environment variables: urllib, which img2dataset uses, heeds a proxy's."""
    environment = spark.sparkContext.environment
    before = dict(environment)
    environment.update(variables)
    try:
        yield
    finally:
        environment.clear()
        environment.update(before)


@contextmanager
def _quiet(store: Store, log: str) -> Iterator[None]:
    """Send what img2dataset and its logger process print to a log, and put its signal handler back."""
    handler = signal.getsignal(signal.SIGINT)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    target = open(store.at(log) if store.local else os.devnull, "ab")  # noqa: PTH123, SIM115
    try:
        os.dup2(target.fileno(), 1)
        os.dup2(target.fileno(), 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in enumerate(saved, start=1):
            os.dup2(old, number)
            os.close(old)
        target.close()
        signal.signal(signal.SIGINT, handler)
