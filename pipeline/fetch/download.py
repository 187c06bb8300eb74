"""Call img2dataset, with its pyspark distributor, on a list of image addresses."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from pipeline.store import Store
from schemas.errors import TransientError
from schemas.recipe import Fetch


def asked(image_url: str, config: Fetch) -> str:
    """Return the address that is really asked for: behind a proxy https becomes http, which a proxy can read."""
    parts = urlsplit(image_url)
    return parts._replace(scheme="http").geturl() if config.proxy and parts.scheme == "https" else image_url


def download(store: Store, folder: str, config: Fetch) -> list[str]:
    """Download the addresses listed in `folder/urls/*.parquet` (columns url, image_id, image_url).

    Needs an active Spark session. A shard that was finished before is not asked for again: img2dataset leaves a
    statistics file beside each. Bytes are stored as they came; decoding is ours.
    Returns: the Parquet files written, relative to the store's root.
    Raises: TransientError when img2dataset gave shards up.
    """
    from img2dataset import download as run

    out = f"{folder}/bytes"
    store.fs.makedirs(store.at(out), exist_ok=True)
    with _quiet(store, f"{folder}/img2dataset.log"):
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
