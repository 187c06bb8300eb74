"""The only URL parser: URLs by the WHATWG standard (with ada), and which IP addresses are public."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from ada_url import URL, check_url, parse_url


def class_of(status: int) -> str:
    """Return the failure class of an HTTP status other than 200, one of schemas.tables.IMAGE_STATUS."""
    return "http_429" if status == 429 else "http_4xx" if 400 <= status < 500 else "http_5xx"


class Failure(Exception):
    """A failed request: one of schemas.tables.IMAGE_STATUS other than 'ok', and the server's or socket's error.

    is_temporary: whether a retry may succeed
    wait_seconds: delay that the server requests
    is_lost:      whether there was no connection or no complete response
    """

    def __init__(
        self,
        status: str,
        error: str,
        *,
        is_temporary: bool = False,
        wait_seconds: float | None = None,
        is_lost: bool = False,
    ) -> None:
        super().__init__(f"{status}: {error}")
        self.status = status
        self.error = "".join(c if c.isprintable() else " " for c in error[:500])  # partly untrusted
        self.is_temporary, self.wait_seconds, self.is_lost = is_temporary, wait_seconds, is_lost


PORTS = {"http": 80, "https": 443}
_WITH_HOST = ("http:", "https:", "ftp:", "ws:", "wss:")  # the standard's special schemes except `file`
_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//")
# For URLs normalized by ada: the host is lower case, punycode or a number; no default port; always a path
_NORMAL = re.compile(r"(https?)://(?:[^/@]*@)?(\[[^\]]*\]|[^:/]*)(?::(\d+))?(/[^#]*)")


@dataclass(frozen=True, slots=True)
class Url:
    """An http(s) URL. host has no brackets around an IPv6 address; target is the path with the query."""

    scheme: str
    authority: str  # host, and port unless it is the scheme's default, as in a Host header
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Scheme, host and port: the scope of a robots.txt (RFC 9309, section 2.3)."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The complete URL, without fragment."""
        return self.origin + self.target

    @property
    def path(self) -> str:
        """The path, percent-encoded, with its leading slash."""
        return self.target.partition("?")[0]

    @property
    def file_name(self) -> str:
        """The last part of the path, percent-encoded, in lower case; '' if the path ends with a slash."""
        return self.path.rpartition("/")[2].lower()

    @property
    def query(self) -> str:
        """The query, percent-encoded, without its question mark."""
        return self.target.partition("?")[2]


NOWHERE = Url("", "", "", 0, "")  # for a URL that cannot be parsed


def host(url: str) -> str:
    """Return the host of a URL: lower case, punycode, an IP address in its shortest form without brackets.

    A trailing dot, which marks an absolute name (RFC 1034, section 3.1), is dropped: it names the same machines.
    '' when the URL cannot be parsed or its scheme has no host in the URL standard.
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
    """Parse a URL, a relative one with its base.

    Obfuscated IP addresses (0x7f.1) are normalized; a trailing dot of the host is dropped, as by `host`.
    Raises: Failure 'private_address' unless it is a valid http or https URL.
    """
    try:
        url = URL(address, base) if base else URL(address)
        if url.hostname.endswith("."):
            url = _without_dot(url)
    except ValueError as error:
        raise Failure("private_address", f"{address[:200]} cannot be parsed") from error
    found = _NORMAL.match(url.href)
    if not found:
        raise Failure("private_address", f"{url.protocol[:20]} is not supported, only http and https")
    scheme, name, port, target = found.groups()
    authority = f"{name}:{port}" if port else name
    return Url(scheme, authority, name.strip("[]"), int(port or PORTS[scheme]), target)


def parse_listed(entry: str) -> Url:
    """Parse a list entry: a host, or a URL with or without scheme.

    Raises: Failure 'private_address' when it has no host.
    """
    scheme = _SCHEME.match(entry)
    rest = entry[scheme.end() :] if scheme else entry
    if rest[:1] in ("/", "\\"):  # a path, whose first folder would be parsed as a host
        raise Failure("private_address", f"{entry[:200]} has no host")
    is_number = rest.count(":") > 1 and not rest.strip("0123456789abcdefABCDEF:.")
    return parse(f"http://[{rest}]" if is_number else f"http://{rest}")


def resolve(address: str, base: str) -> str | None:
    """Resolve a URL as browsers do, without fragment and credentials; None unless it is http or https.

    An empty base is ignored. A trailing dot of the host is kept, as in the page.
    """
    try:
        url = URL(address, base=base or None)
        url.hash = url.username = url.password = ""
        return url.href if url.protocol in ("http:", "https:") else None
    except ValueError:
        return None


def is_valid(url: str) -> bool:
    """Return whether a URL is absolute and valid."""
    return bool(check_url(url))


def request_url(image_url: str, has_proxy: bool) -> str:
    """Return the URL to request: with a proxy, https becomes http, which the proxy can read."""
    return "http:" + image_url[6:] if has_proxy and image_url[:6].lower() == "https:" else image_url


def credentials(address: str) -> tuple[bytes, bytes] | None:
    """Return the percent-decoded user and password of a URL; None when it has neither. Raises: ValueError."""
    url = URL(address)
    return (unquote_to_bytes(url.username), unquote_to_bytes(url.password)) if url.username or url.password else None


def _without_dot(url: URL) -> URL:
    """Drop the trailing dots of a host, which is parsed again as it may be an IP address. Raises: ValueError."""
    url.hostname = url.hostname.rstrip(".")
    return url


IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Networks outside the public internet: the IANA special-purpose address registries of IPv4 and IPv6 (RFC 6890, as of
# 2026-11) where "globally reachable" is not "true", multicast, and internal services of clouds.
_SPECIAL_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT; 100.100.100.200 is a cloud's metadata service
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # a cloud's internal services
            "169.254.0.0/16",  # link-local; 169.254.169.254 is clouds' metadata service
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments; 192.0.0.192 is a cloud's metadata service
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
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")  # RFC 4291, section 2.4; excludes ULA, link-local and others
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
# Networks whose addresses embed an IPv4 address in their last 32 bits, which decides, as in 6to4 and Teredo.
_EMBEDDING = (
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible (RFC 4291, section 2.5.5.1); also :: and ::1
    ipaddress.IPv6Network("::ffff:0:0/96"),  # IPv4-mapped (RFC 4291, section 2.5.5.2)
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052); 64:ff9b:1::/48 (RFC 8215) is for local use
)


def _embedded(number: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses in an IPv6 address: server and client of Teredo (RFC 4380), one of 6to4 (RFC 3056)."""
    if number.teredo:
        return number.teredo
    if number.sixtofour:
        return (number.sixtofour,)
    if any(number in network for network in _EMBEDDING):
        return (ipaddress.IPv4Address(int(number) & 0xFFFFFFFF),)
    return ()


def is_public(number: IPAddress) -> bool:
    """Return whether an IP address is public; one with embedded IPv4 addresses is if all of these are."""
    if isinstance(number, ipaddress.IPv4Address):
        return not any(number in network for network in _SPECIAL_4)
    if embedded := _embedded(number):
        return all(map(is_public, embedded))
    return number in _GLOBAL_6 and not any(number in network for network in _SPECIAL_6)
