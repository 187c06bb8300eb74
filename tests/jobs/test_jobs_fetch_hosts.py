"""Fetch over hosts: redirects between tasks, global limits, and hosts that need a contact."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from fetching import fetched, recipe, requests, rows, statuses, want

from jobs.fetch import check_contact
from jobs.recipes import load
from schemas.errors import RecipeError
from tests.sampleweb.faulty.server import Server, serving

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST, SECOND, THIRD = HOSTS = "127.0.0.1", "127.0.0.2", "127.0.0.3"  # the first two belong to different tasks of two
RATE, LATE_SECONDS, NUM_IMAGES = 20, 0.15, 12
CLOCK_SECONDS = 0.05  # that a request may arrive early, beside another that was slow to start


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(3, {THIRD: "disallow"}) as server:
        yield server


def led(server: Server, host: str, target: str) -> str:
    return server.url(f"/to/302/{quote(target, safe='')}", host)


def test_redirects_between_tasks(server: Server, spark: "SparkSession", tmp_path: Path) -> None:
    late = {
        host: [f"/late/{LATE_SECONDS}/{host[-1]}{n:02d}.jpg" for n in range(NUM_IMAGES)] for host in (FIRST, SECOND)
    }
    back = led(server, THIRD, server.url("/ok/1.jpg"))
    truth = {led(server, host, server.url(path, THIRD)): "ok" for host, paths in late.items() for path in paths}
    truth |= {led(server, SECOND, back): "ok"}  # by way of the third to the first
    truth |= {led(server, FIRST, server.url("/private/1.jpg", THIRD)): "robots"}
    truth |= {led(server, SECOND, "http://10.0.0.1/1.jpg"): "private_address"}
    want(tmp_path, truth)
    limits = [f"fetch.host_requests_per_second={RATE}", "fetch.host_connections=2"]
    manifest = fetched(tmp_path, recipe(server, *limits))

    assert statuses(tmp_path) == truth
    assert manifest.counts == {"ok": 2 * NUM_IMAGES + 1, "private_address": 1, "robots": 1}
    arrived = [(THIRD, path) for paths in late.values() for path in paths]
    others = [(FIRST, "/ok/1.jpg"), (THIRD, back.removeprefix(server.url("", THIRD)))]
    first = [
        (host, url.removeprefix(server.url("", host))) for host in HOSTS for url in truth if f"{host}:" in url[:20]
    ]
    assert requests(server) == dict.fromkeys([*first, *arrived, *others], 1)
    assert [server.count("/robots.txt", host) for host in HOSTS] == [1, 1, 1]
    assert server.tally.most_open[THIRD] == 2
    for host in HOSTS:
        times = sorted(time for of_path in server.tally.arrivals[host].values() for time in of_path)
        assert all(b - a >= 9 / RATE - CLOCK_SECONDS for a, b in zip(times, times[9:], strict=False))
    details = {row["url"]: row["detail"] for row in rows(tmp_path, "rejections")}
    assert "http://10.0.0.1/1.jpg" in details[led(server, SECOND, "http://10.0.0.1/1.jpg")]


@pytest.mark.parametrize(
    "assignments",
    [
        ["fetch.contact=https://weft.example/crawl"],
        ["fetch.proxy=http://127.0.0.1:1"],
        ["fetch.proxy=http://localhost:1"],
        ["fetch.allow_hosts=[127.0.0.1]"],
        ["corpora=[text]"],
    ],
)
def test_hosts_are_requested_with_a_contact_only(assignments: list[str]) -> None:
    check_contact(load("everything", assignments))


@pytest.mark.parametrize(
    "assignments", [[], ["fetch.proxy=http://proxy.example:3128"], ["fetch.proxy=http://127.host.example:3128"]]
)
def test_other_hosts_are_not_requested_without_a_contact(assignments: list[str], tmp_path: Path) -> None:
    want(tmp_path, ["http://host.example/1.jpg"])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecipeError, match=r"fetch\.contact="):
        fetched(tmp_path, load("everything", assignments))
    assert sorted(tmp_path.rglob("*")) == before


def test_other_hosts_among_allowed_ones_are_found_before_any_request(
    server: Server, spark: "SparkSession", tmp_path: Path
) -> None:
    want(tmp_path, [server.url("/ok/90.jpg"), "http://host.example/1.jpg"])
    for _ in range(2):  # and when the same is tried again
        with pytest.raises(RecipeError, match=r"host\.example, .*fetch\.contact="):
            fetched(tmp_path, recipe(server))
    assert server.count("/ok/90.jpg") == 0
