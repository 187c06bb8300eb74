"""Fetching from misbehaving servers: the class of every answer, and the number of requests for each URL."""

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from fetch_cases import (
    ADDRESSES,
    CASES,
    CONNECTIONS,
    HOSTS,
    LOST,
    MAX_BYTES,
    PER_SECOND,
    RESERVATIONS_FILE,
    ROBOTS_FILE,
    TOTAL_SECONDS,
    TRIES,
)
from fetch_run import Fetched, Odd, fetching

from pipeline.fetch.download import LOST_AT_FIRST
from pipeline.fetch.scheduler import FIRST_CONNECTIONS
from tests.sampleweb.faulty.gallery import picture


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetched]:
    with fetching(tmp_path_factory.mktemp("fetch")) as fetched:
        yield fetched


@pytest.mark.parametrize(("role", "path", "status", "num_requests"), CASES, ids=str)
def test_class_and_requests(fetched: Fetched, role: str, path: str, status: str, num_requests: int) -> None:
    assert (fetched.row(role, path)["status"], fetched.count(role, path)) == (status, num_requests)


@pytest.mark.parametrize(("url", "status"), ADDRESSES.items())
def test_class_of_other_addresses(fetched: Fetched, url: str, status: str) -> None:
    assert fetched.rows[fetched.urls[url]]["status"] == status


def test_no_other_host_is_connected_to(fetched: Fetched) -> None:
    assert fetched.connected == set(HOSTS.values())


def test_site_files_are_requested_once(fetched: Fetched) -> None:
    for role in HOSTS.keys() - {"overtaken", "odd", "closed", "error", "mute", "unwanted"}:
        assert (role, fetched.count(role, ROBOTS_FILE), fetched.count(role, RESERVATIONS_FILE)) == (role, 1, 1)
    # whoever forbids everything, or has us assume it, is asked for nothing more (RFC 9309, section 2.3.1.4)
    assert fetched.num_asked[HOSTS["error"]] == {ROBOTS_FILE: 1}
    assert fetched.num_asked[HOSTS["mute"]] == {ROBOTS_FILE: TRIES}
    assert fetched.num_asked[HOSTS["unwanted"]] == {ROBOTS_FILE: 1}
    assert all(len(fetched.arrivals(role, ROBOTS_FILE)) == 1 for role in ("rated", "unwanted"))  # by the second fetch


def test_a_redirected_robots_txt_and_the_headers_that_we_send(fetched: Fetched) -> None:
    paths = [path for path, _ in Odd.asked]
    assert paths == [ROBOTS_FILE, ROBOTS_FILE, "/rules", RESERVATIONS_FILE, "/ok/1.jpg"]
    for _, headers in Odd.asked:
        assert headers["User-Agent"] == "weft (+https://weft.example/bot)"
        assert headers["Host"].partition(":")[0] == HOSTS["odd"]
        assert not headers.keys() & {"Cookie", "Referer", "Authorization"}


def test_images_are_those_that_were_sent(fetched: Fetched) -> None:
    for kind in ("ok", "gzipped", "mistyped", "drip/1"):
        row = fetched.row("sound", f"/{kind}/1.jpg")
        assert row["sha256"] == hashlib.sha256(picture(1)[1]).hexdigest()
        assert row["original_bytes"] == len(picture(1)[1])
    assert all((row["part"] is not None) == (row["status"] == "ok") for row in fetched.rows.values())
    come = {url for rows in (fetched.rows, fetched.led_on) for url, row in rows.items() if row["status"] == "ok"}
    assert fetched.bytes.keys() == come and all(data[:2] == b"\xff\xd8" for data in fetched.bytes.values())


def test_redirects_are_followed_within_a_host(fetched: Fetched) -> None:
    assert [fetched.count("moves", f"/chain/{left}/1.jpg") for left in (3, 2, 1)] == [1, 1, 1]
    assert fetched.count("moves", "/ok/1.jpg") == 1
    # the sixth redirect is one too many
    assert [fetched.count("moves", f"/chain/{left}/2.jpg") for left in range(9, 2, -1)] == [1, 1, 1, 1, 1, 1, 0]
    assert fetched.row("moves", "/chain/9/2.jpg")["error"].endswith("more than 5 redirects")
    assert fetched.count("moves", "/loop/back/3.jpg") == 1
    assert "redirect loop" in fetched.row("moves", "/loop/3.jpg")["error"]
    assert fetched.count("moves", "/missing/9.jpg") == 1


def test_redirects_to_another_host_wait_for_the_next_fetch(fetched: Fetched) -> None:
    expected = {
        f"http://{HOSTS['rated']}:{fetched.server.port}/ok/77.jpg": "ok",
        f"http://{HOSTS['unwanted']}:{fetched.server.port}/ok/77.jpg": "robots",
        "http://10.0.0.1/1.jpg": "private_address",
        "http://private.example/1.jpg": "private_address",
    }
    assert {fetched.rows[url]["location"]: row["status"] for url, row in fetched.led_on.items()} == expected
    assert all(row["num_redirects"] == 1 for row in fetched.led_on.values())
    assert fetched.count("rated", "/ok/77.jpg") == 0 and fetched.server.count("/ok/77.jpg", HOSTS["rated"]) == 1
    assert fetched.server.count("/ok/77.jpg", HOSTS["unwanted"]) == 0


def test_answered_urls_are_not_requested_again(fetched: Fetched) -> None:
    assert fetched.repeated == {}
    assert fetched.server.tally.counts(HOSTS["sound"]) == fetched.num_asked[HOSTS["sound"]]


def test_a_run_that_was_taken_over_stops_its_requests(fetched: Fetched) -> None:
    assert 1 <= fetched.num_overtaken < 10  # of 40: those under way when the first answer could not be committed


def test_delays_are_respected(fetched: Fetched) -> None:
    def gaps(role: str, path: str = "") -> list[float]:
        return [later - earlier for earlier, later in pairwise(fetched.arrivals(role, path))]

    assert min(gaps("busy", "/busy/2/1/1.jpg")) >= 1
    assert min(gaps("stubborn", "/busy/9/1/1.jpg")) >= 1
    assert min(gaps("dated", "/busydate/1/2/1.jpg")) >= 0.9  # a date has no fractions of a second
    assert min(gaps("flaky", "/flaky/2/1.jpg")) >= 0.1
    assert gaps("flaky", "/flaky/2/1.jpg")[1] >= 0.2
    # read_seconds, then total_seconds, ends a request
    assert max(gaps("late", "/late/9/1.jpg")) < TOTAL_SECONDS <= min(gaps("dripping", "/drip/9/1.jpg"))
    # a host that says 429 rests as a whole: but for those under way, all images come after
    said = fetched.arrivals("busy", "/busy/2/1/1.jpg")[0]
    assert sum(said < time < said + 1 for time in fetched.arrivals("busy")) < CONNECTIONS
    assert len(gaps("delay")) == 3 and min(gaps("delay")) >= 0.9  # both site files, two images


def test_limits_of_a_host_are_respected(fetched: Fetched) -> None:
    tally, times = fetched.server.tally, fetched.arrivals("rated")[:22]
    assert times[-1] - times[0] >= 21 / PER_SECOND - 0.1
    assert tally.num_connections[HOSTS["rated"]] <= CONNECTIONS + 1  # of the second fetch
    assert tally.most_open[HOSTS["narrow"]] == CONNECTIONS
    assert max(tally.most_open[host] for host in HOSTS.values()) == CONNECTIONS
    assert tally.most_connected[HOSTS["narrow"]] == CONNECTIONS


def test_a_host_that_never_answers_is_skipped(fetched: Fetched) -> None:
    assert {fetched.row("lost", path)["status"] for path in LOST} == {"timeout"}
    num_requests = sum(fetched.count("lost", path) for path in LOST)
    assert LOST_AT_FIRST <= num_requests < LOST_AT_FIRST + FIRST_CONNECTIONS
    assert sum("not requested" in fetched.row("lost", path)["error"] for path in LOST) >= len(LOST) - num_requests


def test_no_more_than_the_limit_is_read(fetched: Fetched) -> None:
    sent = fetched.server.tally.sent_bytes
    assert sent["endless"] < 20 * MAX_BYTES and sent["huge"] < 20 * MAX_BYTES  # the rest lay in the system's buffers
