"""The one parser of addresses: what an address means, as browsers read it (the WHATWG URL standard, by ada).

A host is written in many ways: in capitals, in Unicode, with escapes, as a number, with a dot at its end. All parts of
the pipeline take a host from here, and so agree on which addresses are of one host: the splits of the shards, the
blocklist, robots.txt, the limits of requests and the reports.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from ada_url import URL, check_url, parse_url

from pipeline.fetch.failure import Failure

PORTS = {"http": 80, "https": 443}
_WITH_HOST = ("http:", "https:", "ftp:", "ws:", "wss:")  # the standard's special schemes but `file`
_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//")
# of what ada has normalised: a host is lower case, punycode or a number, a default port is left out, a path is there
_NORMAL = re.compile(r"(https?)://(?:[^/@]*@)?(\[[^\]]*\]|[^:/]*)(?::(\d+))?(/[^#]*)")


@dataclass(frozen=True, slots=True)
class Place:
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


NOWHERE = Place("", "", "", 0, "")  # where what cannot be parsed leads


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


def parse(address: str, base: str | None = None) -> Place:
    """Take an address apart, a relative one from its base.

    Numbers in disguise (0x7f.1) come out as what they are; a dot at the end of the host is dropped, as by `host`.
    Raises: Failure 'refused_address' unless it is of http or https.
    """
    try:
        url = URL(address, base) if base else URL(address)
        if url.hostname.endswith("."):
            url = _without_dot(url)
    except ValueError as error:
        raise Failure("refused_address", f"{address[:200]} cannot be parsed") from error
    found = _NORMAL.match(url.href)
    if not found:
        raise Failure("refused_address", f"{url.protocol[:20]} is not asked for, only http and https are")
    scheme, name, port, target = found.groups()
    authority = f"{name}:{port}" if port else name
    return Place(scheme, authority, name.strip("[]"), int(port or PORTS[scheme]), target)


def parse_listed(entry: str) -> Place:
    """Take a host, or an address of which a scheme may be missing, apart: what people write into lists.

    Raises: Failure 'refused_address' when it has no host.
    """
    scheme = _SCHEME.match(entry)
    rest = entry[scheme.end() :] if scheme else entry
    if rest[:1] in ("/", "\\"):  # a path, whose first folder browsers would take for a host
        raise Failure("refused_address", f"{entry[:200]} has no host")
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
