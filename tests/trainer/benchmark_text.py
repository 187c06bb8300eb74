"""Synthetic files of the text benchmarks: sizes and colours of things."""

from pathlib import Path

from benchmark_tools import Expected, colour, table, word

from trainer.evaluate.task import Example


def relative_size(folder: Path, _generated: Path, number: int) -> Expected:
    pairs = [(word(i), word(1000 + i)) for i in range(number // 2)]
    (folder / "sizePairsFull.txt").write_text("".join(f"{large} {small}\n" for large, small in pairs))
    expected = [
        Example(f"{large} {small}", f"Is {one} larger than {other}?", (), (answer,), ("Yes", "No"))
        for large, small in pairs
        for one, other, answer in ((large, small, "Yes"), (small, large, "No"))
    ]
    return expected, expected


def colours(is_memory: bool, folder: Path, _generated: Path, number: int) -> Expected:
    things = [f"a {word(i)}" if is_memory and i % 2 else word(i) for i in range(number)]
    options = tuple(sorted({colour(5 * i // 3) for i in range(number)}))
    expected = [
        Example(thing, f"The color of {thing} is?", (), (colour(5 * i // 3),), options)
        for i, thing in enumerate(things)
    ]
    if is_memory:
        rows = [("a" if i % 2 else "", word(i), colour(5 * i // 3), i) for i in range(number)]
        table(folder / "memory_color_data.csv", ("Descriptor", "Item", "Color", "Number"), rows)
    else:
        rows = [(i, thing, f" {colour(5 * i // 3)}") for i, thing in enumerate(things)]
        table(folder / "color-concrete-objects.csv", ("", "object", "color"), rows)
    return expected, expected
