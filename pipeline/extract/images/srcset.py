"""A srcset's candidates, read as the HTML standard reads them, and which of them we want."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_WIDTH_PIXELS = 2_048  # the widest candidate up to here is the best: originals may be of any size
MAX_DENSITY = 3.0
_SPACE = " \t\n\f\r"  # the standard's ASCII white space, which is not Python's
_START = re.compile(rf"[{_SPACE},]*([^{_SPACE}]+)")
_DESCRIPTORS = re.compile(r"[^,(]*(?:\([^)]*\)?[^,(]*)*")  # up to the next comma outside of brackets
_WIDTH = re.compile(r"0*([1-9][0-9]{0,8})w")
_HEIGHT = re.compile(r"0*[1-9][0-9]{0,8}h")
_DENSITY = re.compile(r"((?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)x")


@dataclass(frozen=True)
class Candidate:
    """An address with the width [pixels] that the srcset gives it, or else its density."""

    address: str
    width: int | None
    density: float


def candidates(srcset: str) -> Iterator[Candidate]:
    """Yield the candidates of a srcset in the order written; those with descriptors in error are passed over.

    Commas belong to an address unless they end it (HTML standard, "parsing a srcset attribute").
    """
    at = 0
    while start := _START.match(srcset, at):
        address, at = start[1], start.end()
        descriptors = ""
        if not address.endswith(","):
            found = _DESCRIPTORS.match(srcset, at)
            assert found is not None, "it matches nothing too"
            descriptors, at = found[0], found.end()
        candidate = _candidate(address.rstrip(","), descriptors.split())
        if candidate is not None:
            yield candidate


def best(choices: Iterable[Candidate]) -> list[str]:
    """Return the addresses, the best first: widths before densities, the largest up to the bound before the rest.

    Equal ones stay in the order given.
    """
    return [choice.address for choice in sorted(choices, key=_rank)]


def _rank(candidate: Candidate) -> tuple[bool, bool, float]:
    value, bound = (candidate.density, MAX_DENSITY) if candidate.width is None else (candidate.width, MAX_WIDTH_PIXELS)
    above = value > bound
    return candidate.width is None, above, value if above else -value


def _candidate(address: str, descriptors: list[str]) -> Candidate | None:
    """Read the descriptors: nothing, a density, or a width with perhaps a height; None when they are in error."""
    if not address:
        return None
    widths = [int(m[1]) for d in descriptors if (m := _WIDTH.fullmatch(d))]
    densities = [float(m[1]) for d in descriptors if (m := _DENSITY.fullmatch(d))]
    heights = [d for d in descriptors if _HEIGHT.fullmatch(d)]
    known = len(widths) + len(densities) + len(heights) == len(descriptors)
    if not known or max(len(widths), len(densities), len(heights)) > 1:
        return None
    if (densities and (widths or heights)) or (heights and not widths):
        return None
    return Candidate(address, widths[0] if widths else None, densities[0] if densities else 1.0)
