"""Sockets to the public internet and to hosts that the recipe names, and to nothing else."""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any

from pipeline.fetch.failure import Failure
from pipeline.fetch.url import parse_listed
from schemas.recipe.fetch import Fetch

Resolve = Callable[..., list[Any]]
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")  # RFC 4291, section 2.4; mapped, site-local and others lie outside
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_LOW_PORTS = (80, 443)  # others below 1024 are no web server's: a page could have us speak to mail or shells


class Network:
    """Resolves host names, and connects to what they resolve to if that may be asked.

    The address that was checked is the one that is connected to, so a name cannot resolve anew in between.
    """

    def __init__(self, config: Fetch, resolve: Resolve = socket.getaddrinfo) -> None:
        self.allowed = frozenset(parse_listed(name).host for name in config.allow_hosts)
        self.is_named = config.contact is not None
        self.seconds = config.connect_seconds
        self.resolve = resolve

    def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected socket.

        Raises: Failure 'refused_address' for what is off limits, 'dns' for a name that does not resolve, 'timeout' or
        'unreachable' when no address of the host takes the connection.
        """
        addresses = self._addresses(host, port)
        error: OSError = OSError("no address")
        for family, address in addresses:
            link = socket.socket(family, socket.SOCK_STREAM)
            try:
                link.settimeout(self.seconds)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link.connect(address)
                return link
            except OSError as failed:
                link.close()
                error = failed
        if isinstance(error, TimeoutError):
            raise Failure("timeout", f"no connection to {host} in {self.seconds:g} s", passes=True, is_lost=True)
        raise Failure("unreachable", f"no connection to {host}: {error.strerror or error}", is_lost=True)

    def _addresses(self, host: str, port: int) -> list[tuple[int, Any]]:
        is_allowed = host in self.allowed
        if port < 1024 and port not in _LOW_PORTS and not is_allowed:
            raise Failure("refused_address", f"port {port} is no web server's")
        try:
            found = self.resolve(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            passes = error.errno == socket.EAI_AGAIN
            raise Failure("dns", f"{host}: {error.strerror}", passes=passes, is_lost=True) from error
        except (OSError, UnicodeError, ValueError) as error:  # a label too long, a NUL
            raise Failure("dns", f"{host}: {error}", is_lost=True) from error
        numbers = [ipaddress.ip_address(address[0].partition("%")[0]) for *_, address in found]
        if not is_allowed:
            _check(host, numbers)
        if not self.is_named and not all(number.is_loopback for number in numbers):
            raise Failure("refused_address", f"{host}: fetch.contact is not set, so only loopback is asked")
        return [(family, address) for family, *_, address in found]


def _check(host: str, numbers: Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> None:
    """Refuse a host when any of its addresses is off limits: a name with one private address is not to be trusted."""
    for number in numbers:
        if not is_public(number):
            raise Failure("refused_address", f"{host} leads to {number}, which is not of the public internet")


def is_public(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tell whether an address is of the public internet, also one that carries another within it.

    Source: the IANA special-purpose registries, by ipaddress.is_global; RFC 3056 (6to4), RFC 4380 (Teredo), RFC 6052
    (NAT64).
    """
    if not number.is_global or number.is_multicast:
        return False
    if isinstance(number, ipaddress.IPv4Address):
        return True
    if number not in _GIVEN_OUT and number not in _NAT64:
        return False
    carried = [number.sixtofour, *(number.teredo or ())]
    if number in _NAT64:
        carried.append(ipaddress.IPv4Address(int(number) & 0xFFFFFFFF))
    return all(inner is None or is_public(inner) for inner in carried)
