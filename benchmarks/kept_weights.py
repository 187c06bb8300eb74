"""Store trained arrays in the weights file of the pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.html import main_content


def keep(**arrays: npt.NDArray[Any]) -> None:
    """Write arrays to the weights file, replacing those with the same names."""
    path = Path(main_content.__file__).parent / main_content.FILE
    before = main_content.weights() if path.exists() else {}
    np.savez_compressed(path, **{**before, **arrays})
    print(f"{path.name}: {path.stat().st_size:,} bytes")
