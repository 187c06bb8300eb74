"""Where an address leads: taken apart once, as browsers do it, for all who need a part."""

import re
from dataclasses import dataclass

from ada_url import URL

from pipeline.fetch.failure import Failure

PORTS = {"http": 80, "https": 443}
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


NOWHERE = Place("", "", "", 0, "")  # where what cannot be parsed leads


def parse(address: str, base: str | None = None) -> Place:
    """Take an address apart, a relative one from its base.

    Numbers in disguise (0x7f.1) come out as what they are. Raises: Failure 'refused_address' unless it is of http or
    https.
    """
    try:
        url = URL(address, base) if base else URL(address)
    except ValueError as error:
        raise Failure("refused_address", f"{address[:200]} cannot be parsed") from error
    found = _NORMAL.match(url.href)
    if not found:
        raise Failure("refused_address", f"{url.protocol[:20]} is not asked for, only http and https are")
    scheme, host, port, target = found.groups()
    authority = f"{host}:{port}" if port else host
    return Place(scheme, authority, host.strip("[]"), int(port or PORTS[scheme]), target)


def asked(image_url: str, has_proxy: bool) -> str:
    """Return the address that is really asked for: behind a proxy https becomes http, which a proxy can read."""
    return "http:" + image_url[6:] if has_proxy and image_url[:6].lower() == "https:" else image_url
