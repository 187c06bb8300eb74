"""Few-shot examples: for each example its own, drawn by a seed, shown in front of it with their answers."""

from collections.abc import Sequence
from dataclasses import replace

from schemas.ids import fraction
from trainer.evaluate.example import Example, plain


class Shots:
    """Draws from a pool; the same seed gives an example the same shots, whatever else is asked."""

    def __init__(self, pool: Sequence[Example], number: int, seed: int) -> None:
        self._pool, self._number, self._seed = pool, number, seed
        self._ids = frozenset(shot.id for shot in pool)

    def of(self, example: Example) -> list[Example]:
        """Return the shots of an example, none of them itself, none twice; fewer where the pool holds fewer."""
        found: dict[str, Example] = {}
        most, draw = min(self._number, len(self._ids - {example.id})), 0
        while len(found) < most:
            shot = self._pool[int(fraction(self._seed, "shot", example.id, str(draw)) * len(self._pool))]
            draw += 1
            if shot.id != example.id:
                found.setdefault(shot.id, shot)
        return list(found.values())


def shown(shots: Sequence[Example], example: Example) -> Example:
    """Return the example with its shots in front: each in a line, with the first of its right answers."""
    lines = [f"{shot.words} {plain(shot.right[0])}" for shot in shots]
    images = tuple(image for shot in shots for image in shot.images)
    return replace(example, words="\n".join([*lines, example.words]), images=(*images, *example.images))
