"""A measure of a text, which pages and paragraphs have alike: one definition, a filter for each of the two."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from filters.bounds import Bound, bounded
from filters.verdict import Filter
from schemas.reasons import of_paragraph


@dataclass(frozen=True)
class Measure:
    """What is measured, from which columns, and the bounds: a key of `filters.text` with its reason."""

    name: str
    reads: tuple[str, ...]
    bounds: tuple[tuple[str, str], ...]
    source: str
    of: Callable[[pa.RecordBatch], pa.Array]

    @property
    def of_page(self) -> Filter:
        """The filter that judges the text of a whole page by `filters.text`."""
        bounds = tuple(Bound(f"filters.text.{key}", code) for key, code in self.bounds)
        return bounded(self.name, self.reads, self.name, bounds, self.source, self.of)

    @property
    def of_paragraph(self) -> Filter:
        """The filter that judges one text block by `filters.paragraph`."""
        bounds = tuple(Bound(f"filters.paragraph.{key}", of_paragraph(code)) for key, code in self.bounds)
        return bounded(f"paragraph_{self.name}", self.reads, self.name, bounds, self.source, self.of)
