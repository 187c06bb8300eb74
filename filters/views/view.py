"""A view is a column made from others, once per batch, for all filters that read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Aids:
    """What views take from outside the batch, loaded by the caller.

    words:      lists of words in lower case, by the name of their key in the recipe's filters.lists
    perplexity: n texts to n float64, by a language model; None where the recipe names none
    """

    words: Mapping[str, frozenset[str]] = field(default_factory=dict)
    perplexity: Callable[[pa.Array], pa.Array] | None = None


@dataclass(frozen=True)
class View:
    """One view: its name, the columns that it reads (of the batch, or views before it), and the function."""

    name: str
    reads: tuple[str, ...]
    make: Callable[[pa.RecordBatch, Aids], pa.Array]


def part(batch: pa.RecordBatch, view: str, name: str) -> pa.Array:
    """Return one field of a view that is a struct, as float64."""
    return batch[view].field(name).cast(pa.float64())


def structure(**fields: npt.NDArray[np.generic]) -> pa.StructArray:
    """Make a view of several numbers for each row."""
    return pa.StructArray.from_arrays([pa.array(values) for values in fields.values()], list(fields))


def bounds_of(lists: pa.ListArray) -> Ints:
    """Return where each list begins in its flattened values, and where the last one ends: n lists to n + 1 numbers."""
    offsets = lists.offsets.to_numpy().astype(np.int64)
    found: Ints = offsets - offsets[0]
    return found


def sums(values: npt.NDArray[np.generic], bounds: Ints) -> Ints:
    """Add up the values of each list; an empty list has 0."""
    total = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=total[1:], dtype=np.int64)
    found: Ints = total[bounds[1:]] - total[bounds[:-1]]
    return found


def shares(counts: Ints, wholes: Ints) -> npt.NDArray[np.float64]:
    """Divide counts by wholes; 0 where the whole is 0."""
    found: npt.NDArray[np.float64] = counts / np.maximum(wholes, 1)
    return found
