"""What a cell holds: alike figures in some of nine places.

Values are whole numbers. A set of places is a number of nine bits, bit p for place p, counted from the upper left:

    0 1 2
    3 4 5
    6 7 8
"""

from dataclasses import dataclass

SHAPES = ("circle", "triangle", "square", "hexagon", "cross", "star")
NUM_SIZES = 4
NUM_SHADES = 4
NUM_PLACES = 9

VALUES = {
    "shape": range(len(SHAPES)),
    "size": range(NUM_SIZES),
    "shade": range(NUM_SHADES),
    "number": range(1, NUM_PLACES + 1),
    "position": range(1, 1 << NUM_PLACES),
}
"""What each attribute can be. A matrix has a rule either of number or of position, never of both."""


def places_of(*places: int) -> int:
    """Return a set of places."""
    return sum(1 << place for place in places)


LAYOUTS = {
    1: places_of(4),
    2: places_of(0, 8),
    3: places_of(0, 4, 8),
    4: places_of(0, 2, 6, 8),
    5: places_of(0, 2, 4, 6, 8),
    6: places_of(0, 2, 3, 5, 6, 8),
    7: places_of(0, 2, 3, 4, 5, 6, 8),
    8: places_of(0, 1, 2, 3, 5, 6, 7, 8),
    9: places_of(*range(9)),
}
"""Where figures stand when their number alone counts: as on dice."""


@dataclass(frozen=True)
class Cell:
    """A cell of a matrix, or a candidate for the missing one."""

    shape: int
    """Of SHAPES."""
    size: int
    """0 is the smallest."""
    shade: int
    """0 is white, the last is black."""
    places: int
    """Where figures stand; at least one does."""
