"""Chosen blocks to texts, with the chosen images between them."""

from collections.abc import Iterable
from itertools import groupby, pairwise

from pipeline.extract.content.blocks import Block, Spot

_CELLS = frozenset(("td", "th", "li", "dt", "dd"))


def join(blocks: list[Block], chosen_N: Iterable[bool], spots: list[Spot]) -> list[str | int]:
    """Return texts, and images by their number, in reading order.

    Items of one list and rows of one table are lines of one text, the cells of a row stand on one line.
    """
    kept = [n for n, chosen in enumerate(chosen_N) if chosen]
    found: list[str | int] = []
    for (kind, _), group in groupby(in_order(blocks, kept, spots), key=_together):
        parts = list(group)
        if kind is Spot:
            found += [part.image for part in parts if isinstance(part, Spot)]
        else:
            found.append(_lines([part for part in parts if isinstance(part, Block)]))
    return found


def in_order(blocks: list[Block], numbers: Iterable[int], spots: list[Spot]) -> list[Block | Spot]:
    """Return the blocks of some numbers, and spots, in reading order: a spot stands before the block that it names."""
    placed: list[tuple[int, Block | Spot]] = [(2 * spot.before - 1, spot) for spot in spots]
    placed += [(2 * number, blocks[number]) for number in numbers]
    return [part for _, part in sorted(placed, key=lambda pair: pair[0])]


def _together(part: Block | Spot) -> tuple[type, object]:
    """Tell what is one text: cells of the same list or table; every other block is one by itself."""
    if isinstance(part, Spot):
        return Spot, None
    if part.row:
        return Block, part.place.table
    return Block, part.place.group if part.place.tag in _CELLS and part.place.group else part.place.number


def _lines(blocks: list[Block]) -> str:
    lines = [blocks[0].shown]
    for before, block in pairwise(blocks):
        if block.row and block.row == before.row:
            lines[-1] += f" {block.shown}"
        else:
            lines.append(block.shown)
    return "\n".join(lines)
