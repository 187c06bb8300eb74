"""Import libraries without unneeded dependencies, and create temporary folders that are always removed."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


def temporary_folder(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed at the end of a `with` block, and by Spark when its worker is killed.

    It is in the first of SPARK_LOCAL_DIRS, which Spark sets for its Python workers (org.apache.spark.api.python.
    PythonRunner) and removes when the executor ends; outside Spark in Python's default.
    """
    scratch = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    return tempfile.TemporaryDirectory(prefix=prefix, dir=scratch if scratch and Path(scratch).is_dir() else None)


_COMPILE_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def import_open_clip() -> ModuleType:
    """Import open_clip without wandb, an optional import of timm, and without the cache that torchvision creates."""
    with replaced_modules(wandb=None), _no_compile_cache():
        import open_clip

    module: ModuleType = open_clip
    return module


@contextmanager
def replaced_modules(**modules: ModuleType | None) -> Iterator[None]:
    """Replace packages by these modules for imports in the block; None means not installed.

    Packages that are already imported are not replaced.
    """
    placed = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(placed)  # type: ignore[arg-type]  # None is allowed there, as importlib documents
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]


@contextmanager
def _no_compile_cache() -> Iterator[None]:
    """Use a temporary folder for the cache of compiled kernels in the block, unless the user has set one."""
    if _COMPILE_CACHE in os.environ:
        yield
        return
    with temporary_folder("weft-torch-") as folder:
        os.environ[_COMPILE_CACHE] = folder
        try:
            yield
        finally:
            del os.environ[_COMPILE_CACHE]
