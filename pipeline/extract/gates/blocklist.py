"""Hosts and addresses whose pages are not wanted."""

from collections import defaultdict

import fsspec

from pipeline.fetch.failure import Failure
from pipeline.fetch.url import parse, parse_listed
from schemas.errors import PathError


class Blocklist:
    """A file of one host (`host.example`) or address prefix (`host.example/forum/`) a line; `#` begins a comment.

    A host stands for its subdomains too. Schemes and ports do not count, nor does how a host or path is spelled: lines
    and addresses are both read as browsers read them.
    """

    def __init__(self, path: str) -> None:
        """Read the file, from a path or an fsspec URL. Raises: PathError when it, or a line of it, cannot be read."""
        try:
            with fsspec.open(path, "rt", encoding="utf-8-sig") as file:
                lines = [line.partition("#")[0].strip() for line in file]
        except (OSError, ValueError) as error:
            raise PathError(f"extract.gates.blocklist: cannot read {path}: {error}") from error
        self.prefixes: dict[str, set[str]] = defaultdict(set)
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                entry = parse_listed(line.removeprefix("*").removeprefix("."))  # as other tools' lists have it
            except Failure as failure:
                raise PathError(
                    f"extract.gates.blocklist: {path}, line {number}: {line[:100]!r} is neither a host nor an address; "
                    "correct the line, or put # before it"
                ) from failure
            self.prefixes[entry.host].add("" if entry.target == "/" else entry.target)

    def match(self, url: str) -> str | None:
        """Return the line that an address falls under, normalised and without its scheme; None when there is none."""
        try:
            place = parse(url)
        except Failure:
            return None
        labels = place.host.split(".")
        for start in range(len(labels)):
            host = ".".join(labels[start:])
            for prefix in sorted(self.prefixes.get(host, ())):
                if place.target.startswith(prefix):
                    return host + prefix
        return None
