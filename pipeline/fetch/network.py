"""Connections only to the public internet and to hosts that the recipe allows."""

import ipaddress
import math
import socket
import time
from collections.abc import Callable
from typing import Any

from pipeline.url import Failure, IPAddress, is_public, parse_listed
from schemas.recipe import Fetch

Resolve = Callable[..., list[Any]]
_LOW_PORTS = (80, 443)  # others below 1024 are refused: a page could direct requests to mail servers or shells

# Names outside the public DNS that a proxy may resolve: RFC 6761, 6762, 8375 and 9476, ICANN's .internal, names of
# home, company and cluster networks; and public names that resolve to arbitrary IP addresses.
_PRIVATE_NAMES = (
    "localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "localdomain", "home.arpa",
    "in-addr.arpa", "ip6.arpa", "svc", "consul", "alt", "onion",
    "localtest.me", "lvh.me", "nip.io", "sslip.io", "xip.io", "metadata.tencentyun.com", "metadata.packet.net",
    "metadata.platformequinix.com",
)  # fmt: skip


class Network:
    """Resolves host names and connects to allowed IP addresses.

    It connects to the IP address that it checked, so a second name resolution cannot change it.
    """

    def __init__(self, config: Fetch, resolve: Resolve = socket.getaddrinfo) -> None:
        self.allowed = frozenset(parse_listed(name).host for name in config.allow_hosts)
        self.is_named = config.contact is not None
        self.seconds = config.connect_seconds
        self.resolve = resolve

    def connect(self, host: str, port: int, deadline: float = math.inf) -> socket.socket:
        """Return a connected socket; tries all IP addresses of the host until `deadline` on the monotonic clock.

        Raises: Failure 'private_address' for a private network, 'dns' for a name that does not resolve, 'timeout' or
        'unreachable' when no IP address accepts the connection.
        """
        addresses = self._addresses(host, port)
        error: OSError = OSError("no address")
        for family, address in addresses:
            left = deadline - time.monotonic()
            if left <= 0:
                error = TimeoutError()
                break
            link = socket.socket(family, socket.SOCK_STREAM)
            try:
                link.settimeout(min(self.seconds, left))
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link.connect(address)
                return link
            except OSError as failed:
                link.close()
                error = failed
        if isinstance(error, TimeoutError):
            raise Failure("timeout", f"no connection to {host} in time", is_temporary=True, is_lost=True)
        raise Failure("unreachable", f"no connection to {host}: {error.strerror or error}", is_lost=True)

    def check_name(self, host: str, port: int) -> None:
        """Check the name or IP address of a host that a proxy resolves. Raises: Failure 'private_address'.

        Only the proxy can refuse other names that resolve to a private network.
        """
        if host in self.allowed:
            return
        self._check_port(host, port)
        try:
            number = ipaddress.ip_address(host)
        except ValueError:
            if "." not in host or any(f".{host}".endswith(f".{name}") for name in _PRIVATE_NAMES):
                raise Failure("private_address", f"{host} is not a public host name") from None
            return
        _check(host, [number])

    def _check_port(self, host: str, port: int) -> None:
        if port < 1024 and port not in _LOW_PORTS and host not in self.allowed:
            raise Failure("private_address", f"port {port} is not a web port")

    def _addresses(self, host: str, port: int) -> list[tuple[int, Any]]:
        self._check_port(host, port)
        try:
            resolved = self.resolve(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            is_temporary = error.errno == socket.EAI_AGAIN
            raise Failure("dns", f"{host}: {error.strerror}", is_temporary=is_temporary, is_lost=True) from error
        except (OSError, UnicodeError, ValueError) as error:  # a label too long, a NUL
            raise Failure("dns", f"{host}: {error}", is_lost=True) from error
        numbers = [ipaddress.ip_address(address[0].partition("%")[0]) for *_, address in resolved]
        if host not in self.allowed:
            _check(host, numbers)
        if not self.is_named and not all(number.is_loopback for number in numbers):
            raise Failure(
                "private_address", f"{host}: fetch.contact is not set, so only loopback addresses are fetched"
            )
        return [(family, address) for family, *_, address in resolved]


def _check(host: str, numbers: list[IPAddress]) -> None:
    """Refuse a host when any of its IP addresses is not public: one private address makes the name untrustworthy."""
    for number in numbers:
        if not is_public(number):
            raise Failure("private_address", f"{host} resolves to {number}, which is not a public address")
