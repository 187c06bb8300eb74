"""The one parser of addresses: what a URL means (WHATWG URL standard, by ada), and which IP addresses are public."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from ada_url import URL, check_url, parse_url


def class_of(status: int) -> str:
    """Return the class of an HTTP status that brings nothing, one of schemas.tables.IMAGE_STATUS."""
    return "http_429" if status == 429 else "http_4xx" if 400 <= status < 500 else "http_5xx"


class Failure(Exception):
    """One of schemas.tables.IMAGE_STATUS other than 'ok', and what the server or socket said.

    passes: whether the same request may well succeed in a while; wait_seconds: what the server asks to wait.
    is_lost: whether the host gave no connection, or no whole answer.
    """

    def __init__(
        self,
        status: str,
        error: str,
        *,
        passes: bool = False,
        wait_seconds: float | None = None,
        is_lost: bool = False,
    ) -> None:
        super().__init__(f"{status}: {error}")
        self.status = status
        self.error = "".join(c if c.isprintable() else " " for c in error[:500])  # a stranger's words among them
        self.passes, self.wait_seconds, self.is_lost = passes, wait_seconds, is_lost


PORTS = {"http": 80, "https": 443}
_WITH_HOST = ("http:", "https:", "ftp:", "ws:", "wss:")  # the standard's special schemes but `file`
_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//")
# of what ada has normalised: a host is lower case, punycode or a number, a default port is left out, a path is there
_NORMAL = re.compile(r"(https?)://(?:[^/@]*@)?(\[[^\]]*\]|[^:/]*)(?::(\d+))?(/[^#]*)")


@dataclass(frozen=True, slots=True)
class Url:
    """An http address. host has no brackets around an IPv6 address; target is the path with the query."""

    scheme: str
    authority: str  # host and, unless it is the scheme's own, port, as in a Host header
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a robots.txt is about (RFC 9309, section 2.3)."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The whole address, without a fragment."""
        return self.origin + self.target

    @property
    def path(self) -> str:
        """The path, percent-encoded, which begins with a slash."""
        return self.target.partition("?")[0]

    @property
    def file_name(self) -> str:
        """The last part of the path, percent-encoded, in lower case; '' where the path ends with a slash."""
        return self.path.rpartition("/")[2].lower()

    @property
    def query(self) -> str:
        """The query, percent-encoded, without its question mark."""
        return self.target.partition("?")[2]


NOWHERE = Url("", "", "", 0, "")  # where what cannot be parsed leads


def host(url: str) -> str:
    """Return the host of an address: lower case, punycode, an IP address in its shortest form without brackets.

    A dot at the end, which says that a name is complete (RFC 1034, section 3.1), is dropped: the same machines answer.
    '' for what has no host: what cannot be parsed, and schemes that the URL standard does not know hosts of.
    """
    try:
        parts = parse_url(url, attributes=("protocol", "hostname"))
        name: str = parts["hostname"] if parts["protocol"] in _WITH_HOST else ""
        if name.endswith("."):
            name = _without_dot(URL(url)).hostname
    except ValueError:
        return ""
    return name.strip("[]")


def parse(address: str, base: str | None = None) -> Url:
    """Take an address apart, a relative one from its base.

    Numbers in disguise (0x7f.1) come out as what they are; a dot at the end of the host is dropped, as by `host`.
    Raises: Failure 'private_address' unless it is of http or https.
    """
    try:
        url = URL(address, base) if base else URL(address)
        if url.hostname.endswith("."):
            url = _without_dot(url)
    except ValueError as error:
        raise Failure("private_address", f"{address[:200]} cannot be parsed") from error
    found = _NORMAL.match(url.href)
    if not found:
        raise Failure("private_address", f"{url.protocol[:20]} is not asked for, only http and https are")
    scheme, name, port, target = found.groups()
    authority = f"{name}:{port}" if port else name
    return Url(scheme, authority, name.strip("[]"), int(port or PORTS[scheme]), target)


def parse_listed(entry: str) -> Url:
    """Take a host, or an address of which a scheme may be missing, apart: what people write into lists.

    Raises: Failure 'private_address' when it has no host.
    """
    scheme = _SCHEME.match(entry)
    rest = entry[scheme.end() :] if scheme else entry
    if rest[:1] in ("/", "\\"):  # a path, whose first folder browsers would take for a host
        raise Failure("private_address", f"{entry[:200]} has no host")
    is_number = rest.count(":") > 1 and not rest.strip("0123456789abcdefABCDEF:.")
    return parse(f"http://[{rest}]" if is_number else f"http://{rest}")


def resolve(address: str, base: str) -> str | None:
    """Resolve an address as browsers do, without fragment and credentials; None unless it is of http or https.

    An empty base is none. A dot at the end of the host stays: the address is a page's own.
    """
    try:
        url = URL(address, base=base or None)
        url.hash = url.username = url.password = ""
        return url.href if url.protocol in ("http:", "https:") else None
    except ValueError:
        return None


def is_valid(url: str) -> bool:
    """Tell whether an address is absolute and can be parsed."""
    return bool(check_url(url))


def asked(image_url: str, has_proxy: bool) -> str:
    """Return the address that is really asked for: behind a proxy https becomes http, which a proxy can read."""
    return "http:" + image_url[6:] if has_proxy and image_url[:6].lower() == "https:" else image_url


def credentials(address: str) -> tuple[bytes, bytes] | None:
    """Return the user and password in an address, percent-decoded; None when it has neither. Raises: ValueError."""
    url = URL(address)
    return (unquote_to_bytes(url.username), unquote_to_bytes(url.password)) if url.username or url.password else None


def _without_dot(url: URL) -> URL:
    """Drop the dots at the end of a host; what is left is parsed anew, for it may be a number. Raises: ValueError."""
    url.hostname = url.hostname.rstrip(".")
    return url


IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Networks whose addresses are not of the public internet: the IANA special-purpose address registries of IPv4 and IPv6
# (RFC 6890, as of 2026-11) where "globally reachable" is not "true", multicast, and what clouds serve to their own
# machines.
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


def _carried(number: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses in an IPv6 address: of Teredo (RFC 4380) server and client, of 6to4 (RFC 3056) one."""
    if number.teredo:
        return number.teredo
    if number.sixtofour:
        return (number.sixtofour,)
    if any(number in network for network in _CARRIERS):
        return (ipaddress.IPv4Address(int(number) & 0xFFFFFFFF),)
    return ()


def is_public(number: IPAddress) -> bool:
    """Tell whether an address is of the public internet; one that carries IPv4 addresses is if all of these are."""
    if isinstance(number, ipaddress.IPv4Address):
        return not any(number in network for network in _SPECIAL_4)
    if carried := _carried(number):
        return all(map(is_public, carried))
    return number in _GIVEN_OUT and not any(number in network for network in _SPECIAL_6)
