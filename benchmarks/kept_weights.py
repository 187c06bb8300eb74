"""Keep trained arrays among the weights that ship with the pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.html import main_content


def keep(**arrays: npt.NDArray[Any]) -> None:
    """Write arrays to the weights file, in place of those that have the same names there."""
    path = Path(main_content.__file__).parent / main_content.FILE
    before = main_content.weights() if path.exists() else {}
    np.savez_compressed(path, **{**before, **arrays})
    print(f"{path.name}: {path.stat().st_size:,} bytes")
