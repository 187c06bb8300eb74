"""Rendered cells: five grey values, each figure inside its place, and no two cells equal."""

from itertools import pairwise, product

import numpy as np
import pytest

from trainer.evaluate.raven.files import PLACE_PIXELS, SIDE_PIXELS, draw_cell
from trainer.evaluate.raven.matrix import NUM_SHADES, NUM_SIZES, SHAPES, Cell, places_of

WHITE, BLACK = 255, 0


def pixels(shape: int, size: int, shade: int, places: int) -> np.ndarray:
    return np.asarray(draw_cell(Cell(shape, size, shade, places)))


@pytest.fixture(scope="module")
def figures() -> dict[tuple[int, int, int], np.ndarray]:
    """Every figure, at the upper left."""
    kinds = product(range(len(SHAPES)), range(NUM_SIZES), range(NUM_SHADES))
    return {kind: pixels(*kind, places_of(0)) for kind in kinds}


def test_all_figures_differ(figures: dict[tuple[int, int, int], np.ndarray]) -> None:
    assert len({figure.tobytes() for figure in figures.values()}) == len(figures) == 96
    assert {figure.shape for figure in figures.values()} == {(SIDE_PIXELS, SIDE_PIXELS)}


def test_figures_stay_inside_their_places(figures: dict[tuple[int, int, int], np.ndarray]) -> None:
    """So different places give different images, as do different figures."""
    for kind, figure in figures.items():
        inner = figure[5 : PLACE_PIXELS - 3, 5 : PLACE_PIXELS - 3]  # four pixels of white around
        assert (figure != WHITE).sum() == (inner != WHITE).sum() > 100, kind
    tile = figures[5, 2, 1][1 : 1 + PLACE_PIXELS, 1 : 1 + PLACE_PIXELS]
    for places in (places_of(0, 8), places_of(1, 3, 4), places_of(*range(9)), places_of(2, 6, 7)):
        image = pixels(5, 2, 1, places)
        for place in range(9):
            top, left = (1 + PLACE_PIXELS * n for n in divmod(place, 3))
            shown = image[top : top + PLACE_PIXELS, left : left + PLACE_PIXELS]
            assert (shown == (tile if places >> place & 1 else WHITE)).all()


def test_a_figure_is_its_shade_with_a_black_edge_on_white(figures: dict[tuple[int, int, int], np.ndarray]) -> None:
    middle = 1 + PLACE_PIXELS // 2
    shades = [int(figures[0, 0, shade][middle, middle]) for shade in range(NUM_SHADES)]
    assert shades[0] == WHITE and shades[-1] == BLACK and min(a - b for a, b in pairwise(shades)) > 50
    for (_, _, shade), figure in figures.items():
        assert {*np.unique(figure).tolist()} == {WHITE, BLACK, shades[shade]}
        assert figure[middle, middle] == shades[shade]


def test_a_larger_figure_covers_a_smaller_one(figures: dict[tuple[int, int, int], np.ndarray]) -> None:
    for shape, size in product(range(len(SHAPES)), range(NUM_SIZES - 1)):
        small, large = (figures[shape, s, NUM_SHADES - 1] == BLACK for s in (size, size + 1))
        assert (large | ~small).all() and large.sum() > 1.4 * small.sum()
