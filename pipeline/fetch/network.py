"""Sockets to the public internet and to hosts that the recipe names, and to nothing else."""

import ipaddress
import math
import socket
import time
from collections.abc import Callable
from typing import Any

from pipeline.fetch.failure import Failure
from pipeline.fetch.url import parse_listed
from schemas.recipe.fetch import Fetch

Number = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[..., list[Any]]
_LOW_PORTS = (80, 443)  # others below 1024 are no web server's: a page could have us speak to mail or shells

# Networks whose addresses are not of the public internet, whatever release of Python judges: the IANA special-purpose
# address registries of IPv4 and IPv6 (RFC 6890, as of 2026-11) where "globally reachable" is not "true", multicast, and
# what clouds serve to their own machines.
_SPECIAL_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by carriers; 100.100.100.200 is a cloud's metadata
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # a cloud's services for its machines
            "169.254.0.0/16",  # link-local; 169.254.169.254 is clouds' metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments; 192.0.0.192 is a cloud's metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")  # RFC 4291, section 2.4; ULA, link-local and others lie outside
_SPECIAL_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # IETF protocol assignments: ORCHID, benchmarks, AMT
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
# Networks whose addresses carry an IPv4 address in their last 32 bits: it decides, as those of 6to4 and Teredo do.
_CARRIERS = (
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible (RFC 4291, section 2.5.5.1); also :: and ::1
    ipaddress.IPv6Network("::ffff:0:0/96"),  # IPv4-mapped (RFC 4291, section 2.5.5.2)
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052); 64:ff9b:1::/48 (RFC 8215) is somebody's own
)

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

        Raises: Failure 'refused_address' for what is off limits, 'dns' for a name that does not resolve, 'timeout' or
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
        """Check what can be checked of a host that a proxy resolves. Raises: Failure 'refused_address'.

        Whether any other name leads to a private network, the proxy alone can know and refuse.
        """
        if host in self.allowed:
            return
        self._check_port(host, port)
        try:
            number = ipaddress.ip_address(host)
        except ValueError:
            if "." not in host or any(f".{host}".endswith(f".{name}") for name in _PRIVATE_NAMES):
                raise Failure("refused_address", f"{host} is no name of the public internet") from None
            return
        _check(host, [number])

    def _check_port(self, host: str, port: int) -> None:
        if port < 1024 and port not in _LOW_PORTS and host not in self.allowed:
            raise Failure("refused_address", f"port {port} is no web server's")

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
            raise Failure("refused_address", f"{host}: fetch.contact is not set, so only loopback is asked")
        return [(family, address) for family, *_, address in found]


def _check(host: str, numbers: list[Number]) -> None:
    """Refuse a host when any of its addresses is off limits: a name with one private address is not to be trusted."""
    for number in numbers:
        if not is_public(number):
            raise Failure("refused_address", f"{host} leads to {number}, which is not of the public internet")


def _carried(number: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses in an IPv6 address: of Teredo (RFC 4380) server and client, of 6to4 (RFC 3056) one."""
    if number.teredo:
        return number.teredo
    if number.sixtofour:
        return (number.sixtofour,)
    if any(number in network for network in _CARRIERS):
        return (ipaddress.IPv4Address(int(number) & 0xFFFFFFFF),)
    return ()


def is_public(number: Number) -> bool:
    """Tell whether an address is of the public internet; one that carries IPv4 addresses is if all of these are."""
    if isinstance(number, ipaddress.IPv4Address):
        return not any(number in network for network in _SPECIAL_4)
    if carried := _carried(number):
        return all(map(is_public, carried))
    return number in _GIVEN_OUT and not any(number in network for network in _SPECIAL_6)
