"""Sockets to the public internet and to hosts that the recipe names, and to nothing else."""

import ipaddress
import math
import socket
import time
from collections.abc import Callable
from typing import Any

from pipeline.url import Failure, IPAddress, is_public, parse_listed
from schemas.recipe import Fetch

Resolve = Callable[..., list[Any]]
_LOW_PORTS = (80, 443)  # others below 1024 are no web server's: a page could have us speak to mail or shells

# Names that lead nowhere in the public DNS, but may where a proxy stands: RFC 6761, 6762, 8375 and 9476, ICANN's
# .internal, customs of home and company networks, and clusters' own; and public names that exist to lead to any number.
_PRIVATE_NAMES = (
    "localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "localdomain", "home.arpa",
    "in-addr.arpa", "ip6.arpa", "svc", "consul", "alt", "onion",
    "localtest.me", "lvh.me", "nip.io", "sslip.io", "xip.io", "metadata.tencentyun.com", "metadata.packet.net",
    "metadata.platformequinix.com",
)  # fmt: skip


class Network:
    """Resolves host names, and connects to what they resolve to if that may be asked.

    The address that was checked is the one that is connected to, so a name cannot resolve anew in between.
    """

    def __init__(self, config: Fetch, resolve: Resolve = socket.getaddrinfo) -> None:
        self.allowed = frozenset(parse_listed(name).host for name in config.allow_hosts)
        self.is_named = config.contact is not None
        self.seconds = config.connect_seconds
        self.resolve = resolve

    def connect(self, host: str, port: int, deadline: float = math.inf) -> socket.socket:
        """Return a connected socket. All addresses of the host are tried in turn, until a time of the monotonic clock.

        Raises: Failure 'private_address' for what is off limits, 'dns' for a name that does not resolve, 'timeout' or
        'unreachable' when no address of the host takes the connection.
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
            raise Failure("timeout", f"no connection to {host} in time", passes=True, is_lost=True)
        raise Failure("unreachable", f"no connection to {host}: {error.strerror or error}", is_lost=True)

    def check_name(self, host: str, port: int) -> None:
        """Check what can be checked of a host that a proxy resolves. Raises: Failure 'private_address'.

        Whether any other name leads to a private network, the proxy alone can know and refuse.
        """
        if host in self.allowed:
            return
        self._check_port(host, port)
        try:
            number = ipaddress.ip_address(host)
        except ValueError:
            if "." not in host or any(f".{host}".endswith(f".{name}") for name in _PRIVATE_NAMES):
                raise Failure("private_address", f"{host} is no name of the public internet") from None
            return
        _check(host, [number])

    def _check_port(self, host: str, port: int) -> None:
        if port < 1024 and port not in _LOW_PORTS and host not in self.allowed:
            raise Failure("private_address", f"port {port} is no web server's")

    def _addresses(self, host: str, port: int) -> list[tuple[int, Any]]:
        self._check_port(host, port)
        try:
            found = self.resolve(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            passes = error.errno == socket.EAI_AGAIN
            raise Failure("dns", f"{host}: {error.strerror}", passes=passes, is_lost=True) from error
        except (OSError, UnicodeError, ValueError) as error:  # a label too long, a NUL
            raise Failure("dns", f"{host}: {error}", is_lost=True) from error
        numbers = [ipaddress.ip_address(address[0].partition("%")[0]) for *_, address in found]
        if host not in self.allowed:
            _check(host, numbers)
        if not self.is_named and not all(number.is_loopback for number in numbers):
            raise Failure("private_address", f"{host}: fetch.contact is not set, so only loopback is asked")
        return [(family, address) for family, *_, address in found]


def _check(host: str, numbers: list[IPAddress]) -> None:
    """Refuse a host when any of its addresses is off limits: a name with one private address is not to be trusted."""
    for number in numbers:
        if not is_public(number):
            raise Failure("private_address", f"{host} leads to {number}, which is not of the public internet")
