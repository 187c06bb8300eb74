"""The trained weights: learnt by benchmarks/content_training.py, kept beside this file."""

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

FILE = "weights.npz"


@cache
def weights() -> dict[str, npt.NDArray[Any]]:
    """Load every array once in a process."""
    with (files("pipeline.extract.content") / FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
