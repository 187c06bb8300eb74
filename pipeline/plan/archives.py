"""How many archives a run reads, and how large they are, without reading any."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.inputs import expand
from pipeline.plan.figure import Figure


@dataclass(frozen=True)
class Archives:
    """The archives that inputs mean. num_unsized of them lie elsewhere, and their sizes were not looked up."""

    num: int
    sized_bytes: int
    num_unsized: int

    def num_bytes(self, mean_bytes: float) -> int:
        """Return the size of all, where each that was not looked up has a mean size."""
        return self.sized_bytes + round(self.num_unsized * mean_bytes)

    def size(self, mean_bytes: Figure) -> Figure:
        """Return the same as a figure, which is as sure as the sizes are; without a value where a size is missing."""
        if not self.num_unsized:
            return Figure(float(self.sized_bytes), "bytes", "counted", ("the files' sizes",))
        if mean_bytes.value is None:
            return Figure(None, "bytes", "not measured", mean_bytes.sources)
        return Figure(float(self.num_bytes(mean_bytes.value)), "bytes", mean_bytes.known, mean_bytes.sources)


def count_archives(inputs: Sequence[str]) -> Archives:
    """Count the archives that inputs mean, and add up the sizes of local ones.

    Raises: PathError as pipeline.inputs.expand.
    """
    found = expand(list(inputs))
    local = [archive for archive in found if "://" not in archive]
    return Archives(len(found), sum(Path(a).stat().st_size for a in local), len(found) - len(local))
