"""Runs before their fetch: pages with images on the faulty server; and the results of a fetch."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from jobs import fetch
from jobs.fetch_rounds import ANSWERS_FOLDER
from jobs.recipes import load
from jobs.run import run
from pipeline.fetch.permissions import RESERVATIONS, ROBOTS
from pipeline.io.store import Manifest, Store
from pipeline.io.tables import PartWriter
from schemas.recipe import Recipe
from schemas.tables import CAPTIONS, image_id
from tests.sampleweb.faulty.server import Server

Requests = Counter[tuple[str, str]]  # (host, path) to how often


def settings(server: Server, *assignments: str) -> list[str]:
    """Return settings for a fetch without delays."""
    hosts = f"fetch.allow_hosts=[{', '.join(server.hosts)}]"
    return [
        "corpora=[caption]",
        hosts,
        "fetch.host_requests_per_second=null",
        "fetch.backoff_seconds=0.01",
        *assignments,
    ]


def recipe(server: Server, *assignments: str) -> Recipe:
    return load("everything", settings(server, *assignments))


def want(output: Path, addresses: Iterable[str]) -> None:
    """Write the output of extract and filter; every image is on two pages."""
    store, part = Store(str(output)), "pages/captions/part.parquet"
    with PartWriter(store, CAPTIONS, store.at(part)) as captions:
        for number, url in enumerate(addresses):
            for page in ("a", "b"):
                captions.add(
                    {"image_id": image_id(url), "image_url": url, "caption": f"image {number}", "page_id": page}
                )
    counts, made_by = {"captions": captions.num_rows}, load("everything").model_dump(mode="json")
    pages = Manifest("extract", made_by, {}, {}, {"pages": [], "captions": [part]}, counts)
    store.commit("pages", pages)
    store.commit(
        "measures", Manifest("filter", made_by, {}, {"pages": pages.digest}, {"measures": [], "rejections": []})
    )


def fetched(output: Path, recipe: Recipe, *retry: str) -> Manifest:
    return run((fetch.STEP,), recipe, str(output), retry=retry)["fetch"]


def rows(output: Path, table: str) -> list[dict[str, Any]]:
    return ds.dataset(output / table, format="parquet").to_table().to_pylist()


def statuses(output: Path) -> dict[str, str]:
    """Return the status of each image by URL; each must be in the table once."""
    images = rows(output, "images")
    found = {row["image_url"]: row["status"] for row in images}
    assert len(found) == len(images)
    return found


def requests(server: Server) -> Requests:
    """Return every request for an image so far, without those for site files."""
    asked = {(host, path): n for host in server.hosts for path, n in server.tally.counts(host).items()}
    return Counter({key: n for key, n in asked.items() if key[1] not in (ROBOTS, RESERVATIONS)})


def answers(output: Path) -> list[dict[str, Any]]:
    """Return what a fetch under way has committed."""
    parts = sorted((output / ANSWERS_FOLDER).glob("[!_]*.parquet"))
    return ds.dataset(parts, format="parquet").to_table(["image_id", "part"]).to_pylist() if parts else []
