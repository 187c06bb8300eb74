"""Import libraries without what they bring along, and keep temporary folders where they are removed."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


def temporary_folder(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed at the end of a `with` block, and that Spark removes when its worker is killed.

    Spark tells its Python workers, in SPARK_LOCAL_DIRS, the folders of its own scratch (org.apache.spark.api.python.
    PythonRunner), and removes these when its executor ends. Elsewhere the folder lies where Python keeps such.
    """
    scratch = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    return tempfile.TemporaryDirectory(prefix=prefix, dir=scratch if scratch and Path(scratch).is_dir() else None)


_COMPILE_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def import_open_clip() -> ModuleType:
    """Import open_clip without wandb, which timm takes if it can, and without a cache that torchvision asks for."""
    with stand_ins(wandb=None), _no_compile_cache():
        import open_clip

    module: ModuleType = open_clip
    return module


@contextmanager
def stand_ins(**modules: ModuleType | None) -> Iterator[None]:
    """Have an import in the block find these modules in place of packages; None counts as not installed.

    What is imported already stays as it is, and after the block the packages can be imported as ever.
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
    """Have what is imported in the block leave no cache of compiled kernels, unless the user wants one somewhere."""
    if _COMPILE_CACHE in os.environ:
        yield
        return
    with temporary_folder("weft-torch-") as folder:
        os.environ[_COMPILE_CACHE] = folder
        try:
            yield
        finally:
            del os.environ[_COMPILE_CACHE]
