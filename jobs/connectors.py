"""Spark's connectors to object stores: their settings, the committers of what Spark writes, and whether they work."""

import os
import re
from typing import TYPE_CHECKING

from schemas.display import redact, shorten
from schemas.errors import MissingError, PathError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FACTORY = "org.apache.hadoop.mapreduce.lib.output.committer.manifest.ManifestCommitterFactory"
_FACTORY_KEY = "spark.hadoop.mapreduce.outputcommitter.factory.scheme"
_CLOUD = "org.apache.spark.internal.io.cloud"  # the package of spark-hadoop-cloud
_COMMIT = {
    "spark.sql.sources.commitProtocolClass": f"{_CLOUD}.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": f"{_CLOUD}.BindingParquetOutputCommitter",
}
_OBJECT_STORES = ("s3a", "gs", "abfs", "abfss")
_ARTIFACTS = {"s3a": "hadoop-aws", "abfs": "hadoop-azure", "abfss": "hadoop-azure"}
_MISSING = re.compile(r"No FileSystem for scheme|Class \S+FileSystem not found")
_MISFIT = ("NoSuchMethodError", "NoSuchFieldError", "NoClassDefFoundError", "ClassNotFoundException",
           "IncompatibleClassChangeError", "AbstractMethodError", "UnsupportedClassVersionError")  # fmt: skip


def settings(address: str) -> dict[str, str]:
    """Return the settings of Spark that an output at an address needs, given Python's.

    s3a gets the endpoint that s3fs takes from the environment. Its magic committer completes uploads when a job is
    done, without renaming: https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/committers.html. GCS and
    Azure get the manifest committer, which lists and renames in parallel.
    """
    scheme = address.partition("://")[0]
    if scheme in ("gs", "abfs", "abfss"):
        return {f"{_FACTORY_KEY}.{scheme}": _FACTORY}
    if scheme != "s3a":
        return {}
    # the stream that is Hadoop's default since 3.5 does not repeat a read that the network cut
    found = {"spark.hadoop.fs.s3a.committer.name": "magic", "spark.hadoop.fs.s3a.input.stream.type": "classic"}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        found["spark.hadoop.fs.s3a.endpoint"] = endpoint
        found["spark.hadoop.fs.s3a.path.style.access"] = "true"  # a name per bucket is Amazon's
        found["spark.hadoop.fs.s3a.connection.ssl.enabled"] = str(endpoint.startswith("https://")).lower()
    return found


def connect(spark: "SparkSession", address: str) -> None:
    """Check that Spark reaches an output, and set the committers for its store where their classes are.

    Without the classes (spark-hadoop-cloud) Spark's default committer renames, which copies on S3: slower, and as safe,
    because a step's manifest is written after its job.
    Raises: MissingError when the connector is missing or does not fit Spark's Hadoop; PathError when the store refuses.
    """
    from py4j.protocol import Py4JJavaError

    java, context = spark.sparkContext._jvm, spark.sparkContext._jsc
    assert java is not None
    scheme = address.partition("://")[0]
    hadoop = java.org.apache.hadoop
    try:
        hadoop.fs.FileSystem.getFileSystemClass(scheme, hadoop.conf.Configuration())
        path = hadoop.fs.Path(address)
        path.getFileSystem(context.hadoopConfiguration()).exists(path)
    except Py4JJavaError as error:
        reason = shorten(redact(str(error.java_exception.toString()).splitlines()[0]), 300)
        if _MISSING.search(reason):
            raise MissingError(
                f"this Spark cannot write to {scheme}://, the connector is missing (for s3a, hadoop-aws: "
                "docs/cluster.md); only extract works without it"
            ) from error
        if any(name in reason for name in _MISFIT):
            version = hadoop.util.VersionInfo.getVersion()
            wanted = f": take org.apache.hadoop:{_ARTIFACTS[scheme]}:{version}" if scheme in _ARTIFACTS else ""
            raise MissingError(
                f"the connector for {scheme}:// does not fit this Spark's Hadoop {version}{wanted} ({reason})"
            ) from error
        raise PathError(
            f"Spark cannot access {redact(address)}, though Python can: give it the same credentials and endpoint, see "
            f"docs/cluster.md ({reason})"
        ) from error
    if scheme in _OBJECT_STORES and java.org.apache.spark.util.Utils.classIsLoadable(next(iter(_COMMIT.values()))):
        for key, value in _COMMIT.items():
            spark.conf.set(key, value)
