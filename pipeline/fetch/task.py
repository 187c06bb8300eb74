"""One task of a fetch: the addresses of some hosts, all of each host's, to answers in the journal."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark import TaskContext

from pipeline.consent.sites import SiteFiles
from pipeline.decoder import Decoder
from pipeline.fetch.client import Client
from pipeline.fetch.download import download
from pipeline.fetch.failure import Failure
from pipeline.fetch.journal import MOVED, Journal
from pipeline.fetch.network import Network
from pipeline.fetch.opener import Opener
from pipeline.fetch.permissions import Permissions
from pipeline.fetch.results import Results
from pipeline.fetch.schedule import Address, Host, Schedule
from pipeline.fetch.url import NOWHERE, asked, parse
from pipeline.store import Store
from schemas.recipe import Recipe
from schemas.recipe.fetch import Fetch

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
class Places:
    """Where a run's tasks read and write, relative to the store's root."""

    answers: str
    images: str
    run: int
    round: int
    started_at: float  # clock of the driver


def fetch(
    store: Store, places: Places, recipe: Recipe
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that asks for a partition of WANTED, and yields a row of ASKED."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        task = f"{places.run:04d}-{places.round:02d}-{context.partitionId() if context else 0:05d}"
        fence = fence_of(places.answers, places.run + 1)
        journal = Journal(store, places.answers, places.images, task, fence, recipe.fetch.shard_images)
        journal.catch_up()
        wanted = [row for batch in batches for row in batch.to_pylist() if row["image_id"] not in journal.answered]
        if wanted:
            _fetch(wanted, journal, store, places, recipe)
        num_moved = sum(status == MOVED for status in journal.answered.values())
        yield pa.RecordBatch.from_pylist([{"num_moved": num_moved}], schema=ASKED)

    return run


def fence_of(answers: str, run: int) -> str:
    """Name the file by which a run says that it has begun, and that those before it are over."""
    return f"{answers}/run-{run:04d}"


def _fetch(wanted: list[dict[str, Any]], journal: Journal, store: Store, places: Places, recipe: Recipe) -> None:
    config = recipe.fetch
    cache = Store(config.cache or f"{store.root}/sites")
    sites = SiteFiles(cache, config.cache_hours * 3600, places.started_at)
    agent = f"{config.user_agent} (+{config.contact})" if config.contact else config.user_agent
    with Decoder(recipe.decode) as decoder, closing(Client(config, agent, Network(config))) as client:
        permissions = Permissions(config, sites)
        opener = Opener(config, recipe.decode.max_bytes, _schedule(wanted, config), client, permissions)
        download(opener, len(wanted), Results(decoder, journal, opener.release))


def _schedule(wanted: list[dict[str, Any]], config: Fetch) -> Schedule:
    schedule = Schedule()
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
