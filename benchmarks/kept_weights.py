"""Keep trained arrays among the weights that ship with the pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.extract.content import weights


def keep(**arrays: npt.NDArray[Any]) -> None:
    """Write arrays to the weights file, in place of those that have the same names there."""
    path = Path(weights.__file__).parent / weights.FILE
    before = weights.weights() if path.exists() else {}
    np.savez_compressed(path, **{**before, **arrays})
    print(f"{path.name}: {path.stat().st_size:,} bytes")
