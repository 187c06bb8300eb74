"""Allowed connections: the public internet, and hosts of the recipe."""

import ipaddress
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.fetch.client import Client
from pipeline.fetch.network import Network
from pipeline.url import Failure, is_public, parse, request_url
from schemas.recipe import Fetch

CONTACT = "https://weft.example/bot"
PRIVATE = {
    "0.0.0.0": "this host",
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.0.1": "private",
    "100.64.0.1": "a carrier's NAT",
    "100.127.255.255": "a carrier's NAT",
    "127.0.0.1": "loopback",
    "127.255.255.255": "loopback",
    "169.254.169.254": "link-local: what clouds tell their machines",
    "192.0.2.1": "documentation",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "198.18.0.1": "benchmarks",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "this host",
    "::1": "loopback",
    "fe80::1": "link-local",
    "fec0::1": "site-local, as it was once",
    "fc00::1": "unique local",
    "fd12:3456::1": "unique local",
    "ff02::1": "multicast",
    "ff0e::1": "multicast, everywhere",
    "100::1": "a black hole",
    "2001:db8::1": "documentation",
    "4000::1": "given to nobody",
    "::127.0.0.1": "IPv4-compatible",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:10.0.0.1": "IPv4-mapped",
    "::ffff:0:10.0.0.1": "IPv4-translated",
    "2002:a00:1::": "6to4 of 10.0.0.1",
    "2002:7f00:1::1": "6to4 of 127.0.0.1",
    "2001:0:a00:1::": "Teredo by 10.0.0.1",
    "64:ff9b::10.0.0.1": "NAT64 of 10.0.0.1",
    "64:ff9b::169.254.169.254": "NAT64 of 169.254.169.254",
    "64:ff9b:1::808:808": "a NAT64 of one's own",
}


def ask(config: Fetch, host: str, port: int = 80, **how: Any) -> Failure:
    """Return the failure of a forbidden connection."""
    with pytest.raises(Failure) as caught:
        Network(config, **how).connect(host, port)
    return caught.value


def leads_to(*numbers: str) -> Callable[..., list[Any]]:
    """Return a resolver with a single answer."""
    return lambda host, port, **options: [a for n in numbers for a in socket.getaddrinfo(n, port, **options)]


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("number", PRIVATE, ids=lambda number: f"{number} {PRIVATE[number]}")
def test_what_is_not_public(number: str) -> None:
    assert not is_public(ipaddress.ip_address(number))
    assert ask(Fetch(contact=CONTACT), number).status == "private_address"
    named = ask(Fetch(contact=CONTACT), "name.example", resolve=leads_to("1.1.1.1", number))
    assert named.status == "private_address"  # though another of its addresses is public


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0x7f000001", "0", "localhost"])
def test_disguises_do_not_help(host: str) -> None:
    assert ask(Fetch(contact=CONTACT), host).status == "private_address"
    if host != "localhost":
        assert parse(f"http://{host}/").host in ("127.0.0.1", "0.0.0.0")


@pytest.mark.parametrize("host", ["①②⑦.0.0.1", "127。0。0。1", "%31%32%37.0.0.1", "LOCALHOST", "user:pass@127.0.0.1"])
def test_browsers_read_these_as_addresses_too(host: str) -> None:
    assert parse(f"http://{host}/").host in ("127.0.0.1", "localhost")


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://h.example/a", "data:,a", "gopher://h/", "a", "http://[/"]
)
def test_only_addresses_of_the_web_are_asked(address: str) -> None:
    with pytest.raises(Failure, match="private_address"):
        parse(address)


def test_a_proxy_is_asked_in_http() -> None:
    assert request_url("https://h.example/a?b", has_proxy=False) == "https://h.example/a?b"
    assert request_url("https://h.example/a?b", has_proxy=True) == "http://h.example/a?b"
    assert request_url("http://h.example/a?b", has_proxy=True) == "http://h.example/a?b"
    assert request_url("https://[/", has_proxy=True) == "http://[/"  # what cannot be parsed is one image's failure


@pytest.mark.parametrize("port", [0, 1, 22, 25, 79, 81, 444, 1023])
def test_ports_of_other_services_are_forbidden(port: int) -> None:
    assert "is not a web port" in ask(Fetch(contact=CONTACT), "name.example", port, resolve=leads_to("1.1.1.1")).error


@pytest.mark.parametrize("port", [80, 443, 1024, 8080, 65535])
def test_other_ports_are_allowed(port: int) -> None:
    assert (
        "resolves to 10.0.0.1" in ask(Fetch(contact=CONTACT), "name.example", port, resolve=leads_to("10.0.0.1")).error
    )


def test_hosts_that_the_recipe_names(listener: int) -> None:
    config = Fetch(contact=CONTACT, allow_hosts=("Name.example",))
    with Network(config, leads_to("127.0.0.1")).connect("name.example", listener) as link:
        assert link.getpeername() == ("127.0.0.1", listener)
    # it is the name that is allowed, not where it leads
    assert ask(config, "other.example", listener, resolve=leads_to("127.0.0.1")).status == "private_address"
    assert ask(config, "sub.name.example", listener, resolve=leads_to("127.0.0.1")).status == "private_address"


def test_without_a_contact_only_loopback_is_requested(listener: int) -> None:
    config = Fetch(allow_hosts=("name.example",))
    Network(config, leads_to("127.0.0.1")).connect("name.example", listener).close()
    for numbers in (["10.0.0.1"], ["127.0.0.1", "10.0.0.1"]):
        assert "fetch.contact" in ask(config, "name.example", resolve=leads_to(*numbers)).error
    assert "fetch.contact" in ask(config, "public.example", resolve=leads_to("1.1.1.1")).error


def test_a_name_cannot_change_between_the_check_and_the_connection(listener: int) -> None:
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    config = Fetch(allow_hosts=("name.example",))  # without a contact: 10.0.0.1 is refused
    network = Network(config, lambda *a, **o: leads_to(*answers.pop(0))(*a, **o))
    with network.connect("name.example", listener) as link:
        assert link.getpeername()[0] == "127.0.0.1"
    assert answers == [["10.0.0.1"]]  # it was resolved once
    with pytest.raises(Failure, match="private_address"):
        network.connect("name.example", listener)


def test_every_address_of_a_host_is_tried(listener: int) -> None:
    config = Fetch(allow_hosts=("name.example",))
    with Network(config, leads_to("127.0.0.2", "127.0.0.1")).connect("name.example", listener) as link:
        assert link.getpeername()[0] == "127.0.0.1"  # nobody listens at the other
    assert ask(config, "name.example", listener, resolve=leads_to("127.0.0.2")).status == "unreachable"


@pytest.mark.parametrize(("code", "passes"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)])
def test_names_that_do_not_resolve(code: int, passes: bool) -> None:
    def resolve(*arguments: Any, **options: Any) -> list[Any]:
        raise socket.gaierror(code, "no such luck")

    failure = ask(Fetch(contact=CONTACT), "name.example", resolve=resolve)
    assert (failure.status, failure.is_temporary) == ("dns", passes)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "a\0.example"])
def test_invalid_names(host: str) -> None:
    assert ask(Fetch(contact=CONTACT), host).status == "dns"


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """An HTTPS server named weft.example: its port, and its self-signed certificate."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=weft.example"]
    command += ["-addext", "subjectAltName=DNS:weft.example", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port, certificate
        server.shutdown()


@pytest.mark.parametrize(
    ("is_trusted", "host", "works"),
    [(True, "weft.example", True), (False, "weft.example", False), (True, "other.example", False)],
)
def test_certificates_are_checked(secure: tuple[int, Path], is_trusted: bool, host: str, works: bool) -> None:
    port, certificate = secure
    config = Fetch(allow_hosts=("weft.example", "other.example"), connect_seconds=5)
    with closing(Client(config, "weft", Network(config, leads_to("127.0.0.1")))) as client:
        if is_trusted:
            client.tls.load_verify_locations(certificate)
        if works:
            with client.get(parse(f"https://{host}:{port}/")) as reply:
                assert reply.body(10) == b"here"
            return
        with pytest.raises(Failure, match="certificate") as caught, client.get(parse(f"https://{host}:{port}/")):
            pass
        assert (caught.value.status, caught.value.is_temporary) == ("unreachable", False)
