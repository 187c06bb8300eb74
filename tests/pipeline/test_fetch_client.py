"""The client: response heads, redirects as bytes, proxies, and timeouts."""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch import network as module
from pipeline.fetch.client import MAX_EMPTY_LINES, MAX_HEAD_BYTES, MAX_VALUE_CHARACTERS, Client, Reply
from pipeline.fetch.network import Network
from pipeline.url import Failure, parse
from schemas.recipe import Fetch
from tests.sampleweb.faulty.gallery import picture
from tests.sampleweb.faulty.server import Server, serving

CONFIG = Fetch(allow_hosts=("127.0.0.1",), read_seconds=5, total_seconds=10)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@contextmanager
def client(config: Fetch = CONFIG) -> Iterator[Client]:
    with closing(Client(config, "weft", Network(config))) as made:
        yield made


@contextmanager
def get(url: str, config: Fetch = CONFIG) -> Iterator[Reply]:
    with client(config) as made, made.get(parse(url)) as reply:
        yield reply


@pytest.mark.parametrize("path", ["hinted/1", "hinted/20", "headers/101", "headers/5000", "long/65537", "long/1000000"])
def test_unusual_heads_are_accepted(server: Server, path: str) -> None:
    with client() as made:
        for number in (1, 2):  # the second on the connection of the first
            with made.get(parse(server.url(f"/{path}/{number}.jpg"))) as reply:
                assert (reply.status, reply.body(1 << 20)) == (200, picture(number)[1])
        assert len(made.idle) == 1


def test_all_headers_are_kept_with_truncated_values(server: Server) -> None:
    with get(server.url("/headers/300/1.jpg")) as reply:
        assert [reply.header(f"x-{number}") for number in range(300)] == [str(number) for number in range(300)]
    with get(server.url("/long/100000/1.jpg")) as reply:
        assert reply.header("X-Long") == "x" * MAX_VALUE_CHARACTERS


def test_an_endless_head_is_an_error(server: Server) -> None:
    with (
        pytest.raises(Failure, match=r"unreachable: .*more than 1048576 bytes of headers"),
        get(server.url(f"/long/{MAX_HEAD_BYTES}/1.jpg")),
    ):
        pass
    with pytest.raises(Failure, match=r"unreachable: .*bytes of headers"), get(server.url("/hinted/50000/1.jpg")):
        pass


# The bytes of a Location, and the path and query that are asked for: RFC 3986, section 2.5; expected by hand.
LOCATIONS = {
    "/фото/кот.jpg".encode(): "/%D1%84%D0%BE%D1%82%D0%BE/%D0%BA%D0%BE%D1%82.jpg",
    "/хата.jpg".encode(): "/%D1%85%D0%B0%D1%82%D0%B0.jpg",  # with the byte 85, a line's end in Latin-1
    b"/a b/c.jpg": "/a%20b/c.jpg",
    b"/\xe9.jpg": "/%E9.jpg",
    b"/%D1%84%e9.jpg": "/%D1%84%e9.jpg",
    b"/a?q=\xe9&r=\xd1\x84": "/a?q=%E9&r=%D1%84",
    b"\\a\\b.jpg": "/a/b.jpg",
    b"  b.jpg  ": "/to/302/b.jpg",
    b"?x": "/to/302/NAME?x",
    b"//127.0.0.1:1/\xe9": "/%E9",
}


@pytest.mark.parametrize("location", LOCATIONS, ids=repr)
def test_a_location_is_encoded_from_its_bytes(server: Server, location: bytes) -> None:
    name = quote(location, safe="")
    with get(server.url(f"/to/302/{name}")) as reply:
        place = reply.location(server.url(f"/to/302/{name}"))
    assert place is not None and place.target == LOCATIONS[location].replace("NAME", name)


def test_a_location_names_hosts_in_utf_8(server: Server) -> None:
    name = quote("//münchen.example/")
    with get(server.url(f"/to/302/{quote(name, safe='')}".replace("%25", "%"))) as reply:
        place = reply.location(server.url("/"))
    assert place is not None and place.host == "xn--mnchen-3ya.example"


@given(st.lists(st.tuples(st.from_regex(r"[A-Za-z-]{1,8}", fullmatch=True), st.binary(max_size=20)), max_size=8))
def test_every_byte_of_a_value_is_kept(headers: list[tuple[str, bytes]]) -> None:
    headers = [(name, value.replace(b"\r", b"").replace(b"\n", b"").strip()) for name, value in headers]
    sent = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers if name.lower() not in FRAMING)
    with answering(b"HTTP/1.1 200 OK\r\n" + sent + b"Content-Length: 2\r\n\r\nok") as url, get(url) as reply:
        wanted = [(n, v.decode("latin-1")) for n, v in headers if n.lower() not in FRAMING]
        assert (reply.headers[:-1], reply.body(9)) == (wanted, b"ok")


FRAMING = ("connection", "te")


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        (b"A: 1\r\n  2\r\n\t3\r\nB:4\r\n", [("A", "1 2 3"), ("B", "4")]),
        (b"nothing\r\nA : 1\n:x\nB\t:2\n", [("A", "1"), ("", "x"), ("B", "2")]),
        (b" lost\r\nA:\r\n", [("A", "")]),
    ],
)
def test_lines_of_a_head(head: bytes, headers: list[tuple[str, str]]) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nok") as url, get(url) as reply:
        assert (reply.headers, reply.body(9)) == (headers, b"ok")


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize("before", [b"\r\n", b"\n", b"\r\n" * MAX_EMPTY_LINES])
@pytest.mark.parametrize("hint", [b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
def test_an_answer_may_begin_with_empty_lines(before: bytes, hint: bytes) -> None:
    with answering((before + hint if hint else b"") + before + OK + b"ok") as url, get(url) as reply:
        assert (reply.status, reply.headers, reply.body(9)) == (200, [("Content-Length", "2")], b"ok")


def test_endless_empty_lines_are_an_error() -> None:
    for num in (MAX_EMPTY_LINES + 1, 100_000):
        with answering(b"\r\n" * num + OK + b"ok") as url, pytest.raises(Failure, match="unreachable"), get(url):
            pass


@pytest.mark.parametrize("answer", [b"", b"\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 2", b"\x00\xff\n\n"])
def test_no_answer_is_a_failure(answer: bytes) -> None:
    with answering(answer) as url, pytest.raises(Failure, match="unreachable"), get(url):
        pass


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Serve one request with these bytes and the end of the connection; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(65536)
                link.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(10)


class Proxy(BaseHTTPRequestHandler):
    """Answers everything; a request for a private network is a leak."""

    protocol_version = "HTTP/1.1"  # so that connections are kept
    asked: list[str]
    authorizations: list[str | None]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.authorizations.append(self.headers["Proxy-Authorization"])
        self.send_response(302 if "/away" in self.path else 200)
        if "/away" in self.path:
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def proxy() -> Iterator[Fetch]:
    Proxy.asked, Proxy.authorizations = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Fetch(proxy=f"http://127.0.0.1:{server.server_port}", allow_hosts=("Named.internal.", "10.9.9.9"))
        server.shutdown()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0x7f.1", "2130706433", "10.0.0.1", "169.254.169.254", "192.0.0.192", "168.63.129.16", "[::1]",
     "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[fd00:ec2::254]", "localhost", "LOCALHOST.", "a.localhost", "metadata",
     "metadata.google.internal", "metadata.google.internal.", "printer.local", "router.lan", "db.corp", "nas.home.arpa",
     "api.default.svc", "%6c%6fcalhost", "10.0.0.1.nip.io", "localtest.me", "named.example:22", "1.1.1.1:25"],
)  # fmt: skip
def test_private_addresses_are_not_requested_through_a_proxy(proxy: Fetch, host: str) -> None:
    before = len(Proxy.asked)
    with pytest.raises(Failure, match="private_address"), get(f"http://{host}/", proxy):
        pass
    assert len(Proxy.asked) == before


@pytest.mark.parametrize(
    "host", ["host.example", "1.1.1.1", "[2a00:1450::1]", "local.example", "notlocalhost.example", "named.internal",
             "10.9.9.9", "host.example:8080", "localhost.example", "internal.de"]
)  # fmt: skip
def test_public_addresses_are_requested_through_a_proxy(proxy: Fetch, host: str) -> None:
    with get(f"http://{host}/a", proxy) as reply:
        assert reply.status == 200
    assert Proxy.asked[-1] == parse(f"http://{host}/a").url


def test_redirects_through_a_proxy_are_checked_too(proxy: Fetch) -> None:
    with client(proxy) as made:
        with made.get(parse("http://host.example/away")) as reply:
            place = reply.location("http://host.example/away")
        assert place is not None and place.host == "169.254.169.254"
        with pytest.raises(Failure, match="private_address"), made.get(place):
            pass


# User and password as an address holds them, and what is sent: RFC 7617, section 2; encoded by `base64` of coreutils.
USERS = {
    "ann:secret": "Basic YW5uOnNlY3JldA==",
    "ann:p%40ss%3A%2F": "Basic YW5uOnBAc3M6Lw==",
    "test:123%C2%A3": "Basic dGVzdDoxMjPCow==",  # the RFC's own example, section 2.1
    "test:123£": "Basic dGVzdDoxMjPCow==",
    "ann": "Basic YW5uOg==",
    ":token": "Basic OnRva2Vu",
    "": None,
}


@pytest.mark.parametrize("user", USERS)
def test_a_proxy_is_sent_its_user_and_password(proxy: Fetch, user: str, caplog: pytest.LogCaptureFixture) -> None:
    assert proxy.proxy is not None
    config = proxy.model_copy(update={"proxy": proxy.proxy.replace("//", f"//{user}@" if user else "//")})
    with client(config) as made:
        for _ in range(2):  # a new connection, and a kept one
            with made.get(parse("http://host.example/a")) as reply:
                assert reply.status == 200
        assert len(made.idle) == 1
    assert Proxy.asked[-1] == "http://host.example/a"
    assert Proxy.authorizations[-2:] == [USERS[user]] * 2
    assert "secret" not in caplog.text


def test_a_server_is_not_sent_the_users_of_addresses(proxy: Fetch) -> None:
    with get("http://ann:secret@host.example/a", proxy) as reply:
        assert (reply.status, Proxy.asked[-1], Proxy.authorizations[-1]) == (200, "http://host.example/a", None)
    assert proxy.proxy is not None
    here = Fetch(allow_hosts=("127.0.0.1",))
    with get(proxy.proxy.replace("//", "//ann:secret@"), here) as reply:  # asked as a server is
        assert (reply.status, Proxy.asked[-1], Proxy.authorizations[-1]) == (200, "/", None)


def test_a_host_of_many_addresses_is_tried_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count(100.0, 3.0)  # each look at the clock is 3 s later: a deadline leaves room for few tries
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(now)))
    tried: list[str] = []

    def resolve(host: str, port: int, **options: Any) -> list[Any]:
        return [(socket.AF_INET, 0, 0, "", (f"127.0.1.{n}", 1)) for n in range(200)]

    class Refusing(socket.socket):
        def connect(self, address: Any) -> None:
            tried.append(address[0])
            assert self.gettimeout() == min(4.0, 110.0 - (97.0 + 3.0 * len(tried)))
            raise ConnectionRefusedError

    monkeypatch.setattr(module.socket, "socket", Refusing)
    network = Network(Fetch(allow_hosts=("many.example",), connect_seconds=4), resolve)
    with pytest.raises(Failure, match=r"timeout: no connection to many\.example in time"):
        network.connect("many.example", 1, deadline=110.0)
    assert tried == ["127.0.1.0", "127.0.1.1", "127.0.1.2", "127.0.1.3"]
