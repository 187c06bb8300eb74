"""Run a fetch of all cases, and a second one that follows redirects of the first to other hosts."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fetch_cases import ADDRESSES, CASES, HOSTS, LOST, NUM_HOSTS, RECIPE, RESERVATIONS, ROBOTS, ROBOTS_FILE

from jobs import fetch_rounds
from jobs.fetch_rounds import REQUESTS, FetchPaths, fence_path, fetch_task
from pipeline.fetch.commit_log import MOVED
from pipeline.fetch.network import Network
from pipeline.io.store import Store
from pipeline.url import host
from schemas.errors import TransientError
from tests.sampleweb.faulty.faults import answer
from tests.sampleweb.faulty.gallery import picture
from tests.sampleweb.faulty.server import Server, serving
from tests.sampleweb.faulty.site_files import DISALLOW


class Odd(BaseHTTPRequestHandler):
    """Behaviours that the faulty server lacks: robots.txt on a second try and by a redirect; headers are recorded."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        is_first = len(self.asked) == 1
        status, headers, body = {
            ROBOTS_FILE: (503, {"Retry-After": "1"}, b"") if is_first else (301, {"Location": "/rules"}, b""),
            "/rules": (200, {}, DISALLOW.encode()),
            "/ok/1.jpg": (200, {}, picture(1)[1]),
        }.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class Names:
    """Resolves names that no resolver knows; `uncertain.example` not at first, nor in another fetch."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, host: str, port: int, **options: Any) -> list[Any]:
        self.asked[host] += 1
        if host == "absent.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host == "uncertain.example" and self.asked[host] in (1, 3):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        known = {"private.example": ["203.0.114.1", "192.168.0.1"], "uncertain.example": [HOSTS["sound"]]}
        return [a for number in known.get(host, [host]) for a in socket.getaddrinfo(number, port, **options)]


@contextmanager
def _odd_server() -> Iterator[ThreadingHTTPServer]:
    Odd.asked = []
    with ThreadingHTTPServer((HOSTS["odd"], 0), Odd) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@dataclass
class Fetched:
    """The result."""

    server: Server
    urls: dict[str, str]  # an address here to what was asked for
    rows: dict[str, dict[str, Any]]  # of the first fetch, by what was asked for
    led_on: dict[str, dict[str, Any]]  # of the second
    bytes: dict[str, bytes]  # by id
    num_asked: dict[str, dict[str, int]]  # in the first: host to path to number of requests
    repeated: dict[str, dict[str, Any]]  # as rows, when the first was begun again
    connected: set[str]
    num_overtaken: int  # images asked for by a run that a later one has taken over

    def row(self, role: str, path: str) -> dict[str, Any]:
        return self.rows[self.urls[_address(role, path)]]

    def count(self, role: str, path: str) -> int:
        return self.num_asked[HOSTS[role]].get(path.replace("PORT", str(self.server.port)), 0)

    def arrivals(self, role: str, path: str = "") -> list[float]:
        asked = self.server.tally.arrivals[HOSTS[role]]
        return sorted(time for name, times in asked.items() if path in ("", name) for time in times)


def _address(role: str, path: str) -> str:
    return f"http://{HOSTS[role]}:PORT{path}"


@contextmanager
def fetching(folder: Path) -> Iterator[Fetched]:
    """Fetch; the servers run until the context ends."""
    robots, reservations = ({HOSTS[r]: shape for r, shape in given.items()} for given in (ROBOTS, RESERVATIONS))
    for path in ("/bomb/1.jpg", "/wide/1.png", *(f"/ok/{number}.jpg" for number in range(20))):
        answer(path, 0)  # it keeps what takes long to make
    connected, connect = set[str](), socket.socket.connect

    def connect_here(link: socket.socket, to: Any) -> None:
        connected.add(to[0])
        if not to[0].startswith("127."):
            raise OSError("no test may ask anyone else")
        connect(link, to)

    with (
        serving(NUM_HOSTS, robots, reservations) as server,
        _odd_server() as odd,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(fetch_rounds, "Network", partial(Network, resolve=Names()))
        patch.setattr(socket.socket, "connect", connect_here)
        yield _fetched(server, odd.server_port, connected, Store(str(folder)))


def _fetched(server: Server, odd_port: int, connected: set[str], store: Store) -> Fetched:
    addresses = [*(_address(*case[:2]) for case in CASES), *(_address("lost", path) for path in LOST), *ADDRESSES]
    urls = {a: a.replace("ODDPORT", str(odd_port)).replace("PORT", str(server.port)) for a in addresses}
    first = FetchPaths("answers", "images", 1, 1)
    wanted = [(url, url, 0) for url in urls.values()]
    rows = _asked_for(store, first, wanted)
    num_asked = {host: server.tally.counts(host) for host in HOSTS.values()}
    repeated = _asked_for(store, first, wanted)
    moved = [(url, row["location"], row["num_redirects"]) for url, row in rows.items() if row["status"] == MOVED]
    led_on = _asked_for(store, replace(first, round=2), moved)
    store.create(store.at(fence_path("answers", 2)), b"")
    recipe = RECIPE.model_copy(update={"fetch": RECIPE.fetch.model_copy(update={"commit_images": 1})})
    overtaken = [(url, url, 0) for url in (server.url(f"/missing/{n}.jpg", HOSTS["overtaken"]) for n in range(40))]
    with pytest.raises(TransientError, match="later run"):
        list(fetch_task(store, replace(first, round=3), recipe, Counter().update)(iter([_batch(overtaken)])))
    num_overtaken = sum(count for path, count in server.tally.counts(HOSTS["overtaken"]).items() if "missing" in path)
    images = [pq.read_table(store.at(part)).to_pylist() for part in store.parts("images")]
    stored = {row["image_id"]: row["bytes"] for part in images for row in part}
    return Fetched(server, urls, rows, led_on, stored, num_asked, repeated, connected, num_overtaken)


def _batch(wanted: list[tuple[str, str, int]]) -> pa.RecordBatch:
    rows = [{"image_id": u, "image_url": u, "url": at, "host": host(at), "num_redirects": n} for u, at, n in wanted]
    return pa.RecordBatch.from_pylist(rows, schema=REQUESTS)


def _site_files(store: Store) -> pa.RecordBatch:
    """Return the site files cached so far as rows of REQUESTS."""
    cached = [row for part in store.parts("sites") for row in pq.read_table(store.at(part)).to_pylist()]
    columns = ("fetched_at", "status", "body")
    rows = [{"url": r["url"], "host": r["host"], "site_file": {name: r[name] for name in columns}} for r in cached]
    return pa.RecordBatch.from_pylist(rows, schema=REQUESTS)


def _asked_for(store: Store, places: FetchPaths, wanted: list[tuple[str, str, int]]) -> dict[str, dict[str, Any]]:
    """Fetch, and return the new rows by the original URL."""
    before = set(store.parts(places.answers))
    list(fetch_task(store, places, RECIPE, Counter().update)(iter([_site_files(store), _batch(wanted)])))
    parts = [part for part in store.parts(places.answers) if part not in before]
    rows = [row for part in parts for row in pq.read_table(store.at(part)).to_pylist()]
    assert len(rows) in (len(wanted), 0)
    return {row["image_url"]: row for row in rows}
