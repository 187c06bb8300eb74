"""Folders for what a Spark worker needs for a while, which go even where the worker is killed."""

import os
import tempfile
from pathlib import Path


def temporary_folder(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed at the end of a `with` block, and that Spark removes when its worker is killed.

    Spark tells its Python workers, in SPARK_LOCAL_DIRS, the folders of its own scratch (org.apache.spark.api.python.
    PythonRunner), and removes these when its executor ends. Elsewhere the folder lies where Python keeps such.
    """
    scratch = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    return tempfile.TemporaryDirectory(prefix=prefix, dir=scratch if scratch and Path(scratch).is_dir() else None)
