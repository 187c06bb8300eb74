"""robots.txt (RFC 9309): which addresses a site refuses to us, and how long to wait between two requests."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass

from protego import Protego

MAX_BYTES = 500 * 1024  # the least that section 2.5 wants parsed; what stands behind does not count
# Each wildcard is looked for along the whole address. The worst file that we could make takes 0.3 s to judge the worst
# address within these bounds, and half a minute without them.
MAX_WILDCARDS = 10_000
MAX_URL_CHARACTERS = 8_000  # the length that RFC 9110, section 4.1, wants supported
MAX_DELAY_SECONDS = 86_400.0

_AGENT_LINE = re.compile(r"\s*user[-\s]*agent(?:\s*:|\s)\s*(.*)", re.I)
_PRODUCT_TOKEN = re.compile(r"[\w-]+", re.A)
_DELAY_LINE = re.compile(r"(\s*crawl-delay\s*:\s*\d+),(\d+)\s*", re.I | re.A)
_DOWNLOADER = "img2dataset"  # what downloads: who refuses it by name refuses us
_US, _TOOL, _OTHERS = "us", "tool", "others"  # what groups are renamed to
_REFUSES_ALL = "User-agent: *\nDisallow: /"


@dataclass(frozen=True)
class Robots:
    """What a robots.txt says to us."""

    rules: Protego
    judges_tool: bool = False  # whether a group names the downloader, and none names us

    @classmethod
    def read(cls, agent: str, status: int, body: bytes) -> "Robots":
        """Understand the answer to a request for robots.txt.

        agent is the product token that we go by. With 2xx the body counts. 4xx means that there is no such file, and
        nothing is refused (section 2.3.1.3). In every other case (5xx, a redirection without end, 0 for no answer, and
        429, which only puts us off) nobody knows what the site wants, so everything is refused (section 2.3.1.4).
        Never raises. A file of more wildcards than MAX_WILDCARDS is made to wear us out: it refuses everything.
        """
        if not 200 <= status < 300:
            return cls(Protego.parse("" if 400 <= status < 500 and status != 429 else _REFUSES_ALL))
        charset = "utf-16" if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
        lines = body[: MAX_BYTES + 1].decode(charset, "replace").splitlines()
        if len(body) > MAX_BYTES:
            lines.pop()  # half a rule is another rule
        lines = list(_for_agent(lines, agent))
        text = "\n".join(lines)
        judges_tool = f"User-agent: {_TOOL}" in lines and f"User-agent: {_US}" not in lines
        return cls(Protego.parse(text if text.count("*") <= MAX_WILDCARDS else _REFUSES_ALL), judges_tool)

    def refuses(self, url: str) -> bool:
        """Tell whether an address may not be asked for.

        One that cannot be judged (it is malformed, or longer than MAX_URL_CHARACTERS) counts as refused, for a rule
        may well mean it.
        """
        if len(url) > MAX_URL_CHARACTERS:
            return True
        try:
            return not (self.rules.can_fetch(url, _US) and (not self.judges_tool or self.rules.can_fetch(url, _TOOL)))
        except ValueError:  # of urlsplit, or of encoding half a surrogate pair
            return True

    @property
    def crawl_delay_seconds(self) -> float:
        """The wait between two requests by Crawl-delay and Request-rate, the longer of them; 0 without either."""
        delay, rate = self.rules.crawl_delay(_US) or 0.0, self.rules.request_rate(_US)
        if rate:
            delay = max(delay, min(rate.seconds, MAX_DELAY_SECONDS) / rate.requests)
        return min(delay, MAX_DELAY_SECONDS)


def _for_agent(lines: list[str], agent: str) -> Iterator[str]:
    """Rename the groups of a robots.txt: those that name us, the downloader, or everyone, and all others alike.

    Protego takes a group named `we` for one that means `weft`; names must be equal but for case (section 2.2.1). And
    it keeps every rule once for each name of its group, which a hostile file drives to gigabytes.
    """
    names = {_DOWNLOADER: _TOOL, agent.lower(): _US}
    for line in lines:
        rule = line.partition("#")[0]
        found = _AGENT_LINE.match(rule)
        if not found:
            delay = _DELAY_LINE.fullmatch(rule)  # as half of Europe writes it
            yield f"{delay[1]}.{delay[2]}" if delay else rule
            continue
        token = _PRODUCT_TOKEN.match(found[1].lstrip("*"))
        if token:
            yield f"User-agent: {names.get(token[0].lower(), _OTHERS)}"
        else:
            yield f"User-agent: {'*' if found[1].startswith('*') else _OTHERS}"
