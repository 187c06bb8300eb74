"""Hosts and addresses whose pages are not wanted."""

from collections import defaultdict
from urllib.parse import urlsplit

import fsspec

from schemas.errors import PathError


class Blocklist:
    """A file of one host (`host.example`) or address prefix (`host.example/forum/`) a line; `#` begins a comment.

    A host stands for its subdomains too. Schemes, and the case of hosts, do not count.
    """

    def __init__(self, path: str) -> None:
        """Read the file, from a path or an fsspec URL. Raises: PathError when it cannot be read."""
        try:
            with fsspec.open(path, "rt", encoding="utf-8") as file:
                lines = [line.partition("#")[0].strip() for line in file]
        except (OSError, ValueError) as error:
            raise PathError(f"extract.gates.blocklist: cannot read {path}: {error}") from error
        self.prefixes: dict[str, set[str]] = defaultdict(set)
        for line in filter(None, lines):
            host, slash, rest = line.rpartition("://")[2].partition("/")
            self.prefixes[host.lower()].add(slash + rest)

    def match(self, url: str) -> str | None:
        """Return the line that an address falls under, without its scheme; None when there is none."""
        parts = urlsplit(url)
        rest = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        labels = (parts.hostname or "").split(".")
        for start in range(len(labels)):
            host = ".".join(labels[start:])
            for prefix in sorted(self.prefixes.get(host, ())):
                if rest.startswith(prefix):
                    return host + prefix
        return None
