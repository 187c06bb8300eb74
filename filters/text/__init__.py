"""What is measured of texts, in the order in which it speaks against them."""

from filters.text import c4, fineweb, gopher, length, repetition, wording
from filters.text.measure import Measure

MEASURES: tuple[Measure, ...] = (
    *length.MEASURES,
    *gopher.MEASURES,
    *repetition.MEASURES,
    *c4.MEASURES,
    *fineweb.MEASURES,
    *wording.MEASURES,
)

__all__ = ["MEASURES", "Measure"]
