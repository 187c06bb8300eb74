"""Storage by path or URL: fsspec's file systems, with one line for what a scheme lacks."""

from typing import Any

import fsspec
from fsspec.core import url_to_fs

from schemas.display import describe, redact_address
from schemas.errors import MissingError, PathError

EXTRAS = {"gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure"}
"""The extra of Weft that each scheme needs, besides those of `weft[pipeline]`."""

# instead of pyarrow's, which needs libhdfs and a JVM in each process
fsspec.register_implementation("hdfs", "schemas.hdfs.HdfsFileSystem", clobber=True)


def file_system(url: str, **options: Any) -> tuple[Any, str]:
    """Return the file system of a local path or URL, and the path in it.

    Raises: MissingError when a package for it is not installed; PathError for an unknown scheme, or a store that cannot
    be used as it is configured here.
    """
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    try:
        return url_to_fs(url, **({} if scheme == "hdfs" else options))  # type: ignore[no-any-return]  # it caches nothing
    except ImportError as error:
        if scheme not in EXTRAS:
            raise
        raise MissingError(f'{scheme}:// needs another package: pip install "weft[{EXTRAS[scheme]}]"') from error
    except Exception as error:  # each file system raises errors of its own
        shown = redact_address(url)
        if isinstance(error, ValueError) and str(error).startswith("Protocol not known"):
            known = "local paths, https://, s3://, gs://, abfs:// and hdfs://"
            raise PathError(f"{shown}: unknown storage {scheme}://; Weft reads and writes {known}") from error
        if scheme == "hdfs":
            raise PathError(
                f"{shown}: cannot be accessed; write hdfs://HOST:PORT/PATH, or set HADOOP_CONF_DIR to the folder of "
                f"core-site.xml and hdfs-site.xml ({describe(error, 150)})"
            ) from error
        raise PathError(f"{shown}: cannot be accessed: {describe(error, 200)}") from error
