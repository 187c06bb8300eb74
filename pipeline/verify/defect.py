"""A defect: which file, which sample of it, and what is wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong; key is '' where no single sample is meant, step is the one that makes the file anew."""

    file: str
    what: str
    key: str = ""
    step: str = "shard"

    def __str__(self) -> str:
        """Say it in one line; what stands in a damaged file may be anything, so nothing unprintable goes out."""
        line = ": ".join(filter(None, (self.file, self.key, self.what)))
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
