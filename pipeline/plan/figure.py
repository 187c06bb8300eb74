"""A figure knows how it is known: counted, measured, from a pilot, published, assumed, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Known = Literal["counted", "measured", "pilot", "published", "assumed", "not measured"]
SUREST_FIRST: tuple[Known, ...] = get_args(Known)


@dataclass(frozen=True)
class Figure:
    """A number and its unit; value is None where nobody has measured it.

    known: counted (of the inputs), measured (by a benchmark of ours), pilot (by a run on a part of the inputs),
    published (by others), assumed. sources say by what; of a derived figure, by what of the least sure kind.
    """

    value: float | None
    unit: str
    known: Known
    sources: tuple[str, ...]


def derived(value: float, unit: str, *parts: Figure) -> Figure:
    """Return a figure that is as sure as the least sure of those that it was made from."""
    known = max((part.known for part in parts), key=SUREST_FIRST.index)
    sources = dict.fromkeys(source for part in parts if part.known == known for source in part.sources)
    return Figure(value, unit, known, tuple(sources))


def product(unit: str, *factors: Figure, scale: float = 1.0) -> Figure:
    """Return the product of figures; without a value where one of them has none."""
    value = scale
    for factor in factors:
        if factor.value is None:
            return Figure(None, unit, "not measured", factor.sources)
        value *= factor.value
    return derived(value, unit, *factors)


def total(unit: str, terms: Sequence[Figure]) -> Figure:
    """Return the sum of figures; without a value where one of them has none, or where there are none."""
    values = [term.value for term in terms if term.value is not None]
    if not terms or len(values) < len(terms):
        return Figure(None, unit, "not measured", ())
    return derived(sum(values), unit, *terms)


def total_known(unit: str, terms: Sequence[Figure]) -> Figure:
    """Return the sum of those figures that have a value: of what nobody measured it is a lower bound."""
    return total(unit, [term for term in terms if term.value is not None])
