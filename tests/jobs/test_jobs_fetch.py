"""Fetch: every image is requested once and has its class; which requests are repeated."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from fetching import fetched, recipe, requests, rows, statuses, want

from jobs.fetch_rounds import WORK_FOLDER
from pipeline.io.store import Store
from schemas.reasons import for_status
from tests.sampleweb.faulty.gallery import picture
from tests.sampleweb.faulty.server import Server, serving

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PRIVATE = "127.0.0.2"  # its robots.txt forbids /private/
# The bytes of a Location, and the path that is asked for next: RFC 3986, section 2.5; expected by hand.
LOCATIONS = {
    "/ok/фото/47.jpg".encode(): "/ok/%D1%84%D0%BE%D1%82%D0%BE/47.jpg",
    b"/ok/a b/48.jpg": "/ok/a%20b/48.jpg",
    b"/ok/\xe9/49.jpg": "/ok/%E9/49.jpg",
    b"/ok/%D1%84/50.jpg": "/ok/%D1%84/50.jpg",
}
CLASSES = {
    **{f"/ok/{number}.jpg": "ok" for number in range(20)},
    "/flaky/1/40.jpg": "ok",  # sound at the second try, which is the last
    "/chain/2/41.jpg": "ok",
    "/hinted/2/44.jpg": "ok",
    "/headers/300/45.jpg": "ok",
    "/long/70000/46.jpg": "ok",
    **{f"/to/302/{quote(location, safe='')}": "ok" for location in LOCATIONS},
    "/missing/1.jpg": "http_4xx",
    "/error/1.jpg": "http_5xx",
    "/flaky/2/42.jpg": "http_5xx",  # 503 as often as it is tried; sound ever after
    "/busy/9/0/1.jpg": "http_429",
    "/silent/1.jpg": "timeout",
    "/reset/1.jpg": "unreachable",
    "/loop/1.jpg": "unreachable",
    "/huge/999999999/1.jpg": "too_large",
    "/noai/1.jpg": "opt_out",
    "/page/1.jpg": "not_an_image",
    "/wide/1.png": "too_many_pixels",
}
TRIED_TWICE = ("/flaky/1/40.jpg", "/flaky/2/42.jpg", "/busy/9/0/1.jpg", "/silent/1.jpg")
LED_TO = ("/chain/1/41.jpg", "/ok/41.jpg", "/loop/back/1.jpg", *LOCATIONS.values())
SAID = {"/missing/1.jpg": "HTTP 404", "/error/1.jpg": "HTTP 500", "/noai/1.jpg": "X-Robots-Tag: noai"}
SOURCE = ("fetch.contact=mailto:crawl@weft.example", "fetch.retries=1", "fetch.read_seconds=1")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(2, {PRIVATE: "disallow"}) as server:
        yield server


@pytest.fixture(scope="module")
def truth(server: Server) -> dict[str, str]:
    """The expected class of every URL."""
    return {
        **{server.url(path): status for path, status in CLASSES.items()},
        server.url("/ok/43.jpg", PRIVATE): "ok",
        server.url("/private/1.jpg", PRIVATE): "robots",
        "http://10.0.0.1/1.jpg": "private_address",
        "ftp://127.0.0.1/1.jpg": "private_address",
        "http://nowhere.invalid/1.jpg": "dns",
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"fetch.cache={tmp_path_factory.mktemp('sites')}"


@pytest.fixture(scope="module")
def output(
    server: Server, truth: dict[str, str], cache: str, spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A complete fetch."""
    output = tmp_path_factory.mktemp("fetch")
    want(output, truth)
    fetched(output, recipe(server, *SOURCE, cache))
    return output


def test_every_image_is_requested_once_and_has_its_class(
    server: Server, truth: dict[str, str], output: Path, spark: "SparkSession"
) -> None:
    assert statuses(output) == truth
    asked = {("127.0.0.1", path): 1 + (path in TRIED_TWICE) for path in (*CLASSES, *LED_TO)}
    assert requests(server) == asked | {(PRIVATE, "/ok/43.jpg"): 1}
    assert [server.count("/robots.txt", host) for host in server.hosts] == [1, 1]
    manifest = Store(str(output)).manifest("images")
    counts = list(truth.values())
    assert manifest and manifest.counts == {status: counts.count(status) for status in sorted({*counts})}
    by_spark = spark.read.parquet(str(output / "images"))
    assert dict(by_spark.select("image_url", "status").collect()) == truth
    assert by_spark.count() == len(truth)
    assert not (output / WORK_FOLDER).exists()


def test_images_hold_the_received_bytes(server: Server, output: Path) -> None:
    for row in rows(output, "images"):
        path = row["image_url"].removeprefix(server.url(""))
        if path.startswith(("/ok", "/flaky/1", "/chain")):
            number = int(path.rpartition("/")[2].removesuffix(".jpg"))
            assert row["original_bytes"] == len(picture(number)[1])
            assert row["bytes"][:2] == b"\xff\xd8" and row["num_bytes"] == len(row["bytes"])
            assert row["error"] is None
        else:
            assert (row["bytes"] is None) == (row["status"] != "ok")


def test_rejections_name_rule_url_and_reason(server: Server, truth: dict[str, str], output: Path) -> None:
    rejections = rows(output, "rejections")
    failed = {url: for_status(status) for url, status in truth.items() if status != "ok"}
    assert sorted((row["url"], row["rule"]) for row in rejections) == sorted(failed.items())
    assert {(row["step"], row["level"]) for row in rejections} == {("fetch", "image")}
    details = {row["url"]: row["detail"] for row in rejections}
    assert details.items() >= {server.url(path): said for path, said in SAID.items()}.items()
    assert f"{server.url('/robots.txt', PRIVATE)} forbids it" in details[server.url("/private/1.jpg", PRIVATE)]
    assert all(details.values())


def test_a_rerun_requests_nothing(server: Server, truth: dict[str, str], output: Path) -> None:
    before, asked = Store(str(output)).manifest("images"), requests(server)
    assert (
        fetched(output, recipe(server, "fetch.threads=2", "fetch.read_seconds=9", "fetch.user_agent=other")) == before
    )
    assert requests(server) == asked


def test_classes_of_failures_are_retried(
    server: Server, truth: dict[str, str], output: Path, cache: str, tmp_path: Path
) -> None:
    again = tmp_path / "out"
    copytree(output, again)
    first, asked = Store(str(again)).manifest("images"), requests(server)
    second = fetched(again, recipe(server, *SOURCE, cache), "http_5xx", "timeout")
    paths = {"/error/1.jpg": 1, "/flaky/2/42.jpg": 1, "/silent/1.jpg": 2}
    assert requests(server) - asked == {("127.0.0.1", path): n for path, n in paths.items()}
    now = truth | {server.url("/flaky/2/42.jpg"): "ok"}
    assert statuses(again) == now
    failed = {url: for_status(status) for url, status in now.items() if status != "ok"}
    assert {row["url"]: row["rule"] for row in rows(again, "rejections")} == failed
    assert first and second.digest != first.digest  # so the steps after it run again

    asked = requests(server)
    third = fetched(again, recipe(server, *SOURCE, cache), "too_small")  # of which there are none
    assert (requests(server), third.digest) == (asked, second.digest)
    assert statuses(again) == now


def test_only_new_images_are_requested(
    server: Server, truth: dict[str, str], output: Path, cache: str, tmp_path: Path
) -> None:
    more = tmp_path / "out"
    copytree(output, more)
    new = {server.url("/ok/50.jpg"): "ok", server.url("/missing/2.jpg", PRIVATE): "http_4xx"}
    want(more, truth | new)
    part = next((more / "images").glob("batch=[!f]*/*.parquet"))
    copytree(part.parent, more / "images" / "batch=killed")  # of a fetch that was never gone on with
    asked, site_files = requests(server), [server.count("/robots.txt", host) for host in server.hosts]
    fetched(more, recipe(server, *SOURCE, cache))
    assert requests(server) - asked == {("127.0.0.1", "/ok/50.jpg"): 1, (PRIVATE, "/missing/2.jpg"): 1}
    assert statuses(more) == truth | new
    assert [server.count("/robots.txt", host) for host in server.hosts] == site_files


def test_permissions_of_sites_are_reused_in_another_run(
    server: Server, cache: str, output: Path, tmp_path: Path
) -> None:
    site_files = [server.count("/robots.txt", host) for host in server.hosts]
    wanted = {server.url("/ok/60.jpg", host): "ok" for host in server.hosts}
    wanted |= {server.url("/private/2.jpg", PRIVATE): "robots"}
    for name, hours, more in (("kept", 24, 0), ("old", 0, 1)):
        want(tmp_path / name, wanted)
        fetched(tmp_path / name, recipe(server, cache, f"fetch.cache_hours={hours}"))
        assert statuses(tmp_path / name) == wanted
        assert [server.count("/robots.txt", host) for host in server.hosts] == [n + more for n in site_files]
