"""The misbehaving server: each behaviour matches its name, and every request is counted."""

import contextlib
import email.utils
import gzip
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from tests.sampleweb.faulty.faults import BEHAVIOURS, BOMB_BYTES, WIDE_PIXELS
from tests.sampleweb.faulty.gallery import NUM_PICTURES, picture
from tests.sampleweb.faulty.server import TIMEOUT_SECONDS, Server, serving
from tests.sampleweb.pictures import ERROR_PAGE

ROBOTS = {
    "127.0.0.2": "disallow",
    "127.0.0.3": "forbidden",
    "127.0.0.4": "error",
    "127.0.0.5": "huge",
    "127.0.0.6": "delay",
    "127.0.0.7": "User-agent: weft\nDisallow: /\n",
    "127.0.0.8": "silent",
}


NEVER_SECONDS = 100_000  # no test lasts so long


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(8, ROBOTS, {"127.0.0.2": "[]"}) as server:
        yield server


def get(server: Server, path: str, host: str = "127.0.0.1") -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(host, server.port, timeout=TIMEOUT_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def opened(server: Server, path: str, host: str = "127.0.0.1") -> socket.socket:
    client = socket.create_connection((host, server.port), timeout=TIMEOUT_SECONDS)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{server.port}\r\n\r\n".encode())
    return client


def test_images_are_small_distinct_and_valid(server: Server) -> None:
    files = [picture(number) for number in range(NUM_PICTURES)]
    assert len({body for _, body in files}) == NUM_PICTURES
    assert {media_type for media_type, _ in files} == {"image/jpeg", "image/png", "image/webp"}
    for media_type, body in files:
        assert 1500 < len(body) < 11_000
        image = Image.open(io.BytesIO(body))
        image.load()
        assert image.get_format_mimetype() == media_type
        assert min(image.size) >= 100 and max(image.size) <= 220


@pytest.mark.parametrize("kind", ["ok", "private", "beyond", "noai", "reserved", "stale", "mistyped", "untyped"])
def test_the_image_is_served(server: Server, kind: str) -> None:
    status, headers, body = get(server, f"/{kind}/{NUM_PICTURES + 7}.jpg")
    assert (status, body) == (200, picture(7)[1])
    assert headers["X-Robots-Tag"] == ("noai" if kind == "noai" else None)
    assert headers["tdm-reservation"] == ("1" if kind == "reserved" else None)
    assert headers["Content-Type"] == {"mistyped": "text/html", "untyped": None}.get(kind, picture(7)[0])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("missing/1.jpg", 404),
        ("forbidden/1.jpg", 403),
        ("gone/1.jpg", 410),
        ("error/1.jpg", 500),
        ("what/1.jpg", 404),
        ("", 404),
    ],
)
def test_error_statuses(server: Server, path: str, status: int) -> None:
    assert get(server, f"/{path}")[::2] == (status, ERROR_PAGE)


def test_recovering_behaviours(server: Server) -> None:
    busy = [get(server, "/busy/2/3/1.jpg") for _ in range(3)]
    assert [status for status, _, _ in busy] == [429, 429, 200]
    assert [headers["Retry-After"] for _, headers, _ in busy] == ["3", "3", None]
    assert [get(server, "/flaky/1/1.jpg")[0] for _ in range(3)] == [503, 200, 200]
    before = int(time.time())  # a date has whole seconds
    status, headers, _ = get(server, "/busydate/1/60/1.jpg")
    assert status == 429
    assert before + 60 <= email.utils.parsedate_to_datetime(headers["Retry-After"]).timestamp() <= time.time() + 60
    assert (server.count("/busy/2/3/1.jpg"), server.count("/flaky/1/1.jpg")) == (3, 3)


def test_redirects(server: Server) -> None:
    moves = [get(server, path) for path in ("/chain/2/9.jpg", "/chain/1/9.jpg", "/loop/9.jpg", "/loop/back/9.jpg")]
    assert [status for status, _, _ in moves] == [301] * 4
    assert [h["Location"] for _, h, _ in moves] == ["/chain/1/9.jpg", "/ok/9.jpg", "/loop/back/9.jpg", "/loop/9.jpg"]
    target = "http://10.0.0.1:80/a b?c=d/e"
    status, headers, _ = get(server, f"/to/307/{quote(target, safe='')}")
    assert (status, headers["Location"]) == (307, target)


def test_unusual_headers_and_bodies(server: Server) -> None:
    assert (
        get(server, f"/tagged/{quote('weft: noai, noindex', safe='')}/1.jpg")[1]["X-Robots-Tag"]
        == "weft: noai, noindex"
    )
    assert get(server, "/page/1.jpg")[0::2] == (200, ERROR_PAGE)
    assert get(server, "/empty/1.jpg")[0::2] == (200, b"")
    assert get(server, "/huge/1000001/1.jpg")[2] == bytes(1_000_001)
    _, headers, packed = get(server, "/gzipped/5.jpg")
    assert (headers["Content-Encoding"], gzip.decompress(packed)) == ("gzip", picture(5)[1])
    _, headers, packed = get(server, "/bomb/1.jpg")
    assert headers["Content-Encoding"] == "gzip" and len(packed) < 150_000
    assert len(zlib.decompress(packed, wbits=31)) == BOMB_BYTES
    Image.MAX_IMAGE_PIXELS, kept = None, Image.MAX_IMAGE_PIXELS
    assert Image.open(io.BytesIO(get(server, "/wide/1.png")[2])).size == (WIDE_PIXELS, WIDE_PIXELS)
    Image.MAX_IMAGE_PIXELS = kept


def test_slow_bodies(server: Server) -> None:
    status_line = b"HTTP/1.1 200 OK\r\n"
    for kind in ("drip", "dripheaders", "late"):
        with opened(server, f"/{kind}/0.4/3.jpg") as client:
            received = b""
            while not received.endswith(picture(3)[1]):
                received += client.recv(1 << 20)
        assert received.startswith(status_line)
    for kind in ("drip", "dripheaders"):  # the second piece comes after half a second
        with opened(server, f"/{kind}/{NEVER_SECONDS}/3.jpg") as client:
            first = client.recv(1 << 20)
        assert first.startswith(b"H") and not first.endswith(picture(3)[1])
        assert (b"\r\n\r\n" in first) == (kind != "dripheaders")
    with opened(server, f"/late/{NEVER_SECONDS}/3.jpg") as client, pytest.raises(TimeoutError):
        client.settimeout(0.2)
        client.recv(1)


def test_broken_connections(server: Server) -> None:
    with pytest.raises(http.client.IncompleteRead):
        get(server, "/cut/1.jpg")
    with pytest.raises(http.client.BadStatusLine):
        get(server, "/garbage/1.jpg")
    with opened(server, "/reset/1.jpg") as client, pytest.raises(ConnectionResetError):
        while client.recv(1 << 20):
            pass
    with opened(server, "/silent/1.jpg") as client:
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
    with opened(server, "/endless/1.jpg") as client:
        received = 0
        while received < 20_000_000:
            received += len(client.recv(1 << 20))


def test_keep_alive(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)
    with contextlib.closing(connection):
        for number in range(3):
            connection.request("GET", f"/ok/{number}.jpg")
            assert connection.getresponse().read() == picture(number)[1]
        assert server.tally.num_connections["127.0.0.1"] == 1
        connection.request("GET", "/ok/1.jpg", headers={"Connection": "close"})
        connection.getresponse().read()
        assert connection.sock is None or connection.sock.recv(1) == b""
    with opened(server, "/stale/1.jpg") as client:
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))
        assert b"close" not in received.partition(b"\r\n\r\n")[0]
    with opened(server, "/drip/0.1/1.jpg") as client:  # two requests at once are answered one after the other
        client.sendall(b"GET /missing/1.jpg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))
        assert received.index(b" 200 OK") < received.index(b" 404 Not Found")


def test_site_files(server: Server) -> None:
    statuses = {host: get(server, "/robots.txt", host)[0] for host in server.hosts[:7]}
    assert list(statuses.values()) == [404, 200, 403, 500, 200, 200, 200]
    texts = {host: get(server, "/robots.txt", host)[2].decode() for host in server.hosts[:7]}
    assert texts["127.0.0.2"] == "User-agent: *\nDisallow: /private/\n"
    assert texts["127.0.0.6"] == "User-agent: *\nCrawl-delay: 1\n"
    assert texts["127.0.0.7"] == ROBOTS["127.0.0.7"]
    huge = texts["127.0.0.5"]
    assert len(huge) > 1_000_000
    assert huge.index("Disallow: /private/") < 500 * 1024 < huge.index("Disallow: /beyond/")
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(f"http://127.0.0.8:{server.port}/robots.txt", timeout=0.2)
    assert [get(server, "/.well-known/tdmrep.json", host)[0] for host in server.hosts[:2]] == [404, 200]


def test_every_request_is_counted(server: Server) -> None:
    started = time.monotonic()
    clients = [opened(server, f"/late/{NEVER_SECONDS}/1.jpg", "127.0.0.2") for _ in range(5)]
    while server.count(f"/late/{NEVER_SECONDS}/1.jpg", "127.0.0.2") < len(clients):
        time.sleep(0.01)
    get(server, "/ok/1.jpg?size=2")
    get(server, "/ok/1.jpg")
    tally = server.tally
    assert tally.counts("127.0.0.1") == {"/ok/1.jpg?size=2": 1, "/ok/1.jpg": 1}
    (path,) = tally.counts("127.0.0.2")
    assert (server.count("/ok/1.jpg"), server.count(path, "127.0.0.2"), server.count("/no")) == (1, 5, 0)
    assert all(started <= arrival <= time.monotonic() for arrival in tally.arrivals["127.0.0.2"][path])
    assert (tally.most_open["127.0.0.1"], tally.most_open["127.0.0.2"]) == (1, 5)
    assert (tally.most_connected["127.0.0.2"], tally.num_connections["127.0.0.1"]) == (5, 2)
    assert tally.sent_bytes["ok"] > 2 * len(picture(1)[1])
    assert json.loads(get(server, "/_requests")[2])["arrivals"] == tally.arrivals
    for client in clients:
        client.close()
    while tally.num_open["127.0.0.2"]:
        time.sleep(0.01)
    get(server, "/_reset")
    assert tally.arrivals == {}


def test_nothing_hangs_at_the_end() -> None:
    before = threading.active_count()
    clients = []
    with serving() as server:
        slow = [f"{kind}/{NEVER_SECONDS}" for kind in ("drip", "dripheaders", "late")]
        for kind in ("silent", "endless", *slow, "huge/100000000", "ok"):
            clients.append(opened(server, f"/{kind}/1.jpg"))
        while len(server.tally.counts("127.0.0.1")) < len(clients):
            time.sleep(0.01)
    assert server.tally.num_open["127.0.0.1"] == 0
    assert threading.active_count() == before
    for client in clients:
        client.close()


def test_as_a_process() -> None:
    command = [sys.executable, "-m", "tests.sampleweb.faulty", "--hosts", "3", "--robots", "127.0.0.3=disallow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().removeprefix("3 hosts on port ").strip()
        with urllib.request.urlopen(f"http://127.0.0.3:{port}/robots.txt", timeout=TIMEOUT_SECONDS) as answer:
            assert b"/private/" in answer.read()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_requests", timeout=TIMEOUT_SECONDS) as answer:
            assert list(json.load(answer)["arrivals"]) == ["127.0.0.3"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_SECONDS) == 0


def test_unusual_response_heads(server: Server) -> None:
    for path, odd in (
        ("/hinted/3/1.jpg", b"103 Early Hints"),
        ("/headers/300/1.jpg", b"\r\nX-"),
        ("/long/70000/1.jpg", b"x" * 70_000),
    ):
        with opened(server, path) as client:
            answer = b""
            while not answer.endswith(picture(1)[1]):
                answer += client.recv(1 << 16)
        assert answer.count(odd) == {"/hinted": 3, "/headers": 300, "/long": 1}[path[: path.index("/", 1)]]


def test_every_behaviour_is_tested() -> None:
    text = Path(__file__).read_text("utf-8")
    assert {kind for kind in BEHAVIOURS if f'"{kind}' not in text and f"/{kind}/" not in text} == set()
