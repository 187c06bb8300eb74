"""A store that refuses or is gone in the middle of a run: one line with the remedy."""

import pytest

from jobs.errors import translate_error
from pipeline.io.store import Store

ERRORS = {
    "PermissionError: The provided token has expired. (ExpiredToken)": "access is denied (ExpiredToken)",
    "java.nio.file.AccessDeniedException: s3a://bucket/out: Access Denied": "access is denied (AccessDenied)",
    "org.apache.hadoop.security.AccessControlException: Permission denied: user=me": "(AccessControlException)",
    'botocore EndpointConnectionError: Could not connect to the endpoint URL: "http://h/b"': "cannot be reached",
    "OSError: [Errno 5] An error occurred (SlowDown) when calling the PutObject operation": "cannot be reached",
}


@pytest.mark.parametrize(("text", "words"), ERRORS.items())
def test_an_error_of_a_task_is_one_line(text: str, words: str) -> None:
    spark = RuntimeError("An error occurred while calling o1.collect")
    spark.__cause__ = OSError(text)
    found = translate_error(spark, Store("memory://bucket/out"))
    assert found is not None
    assert words in str(found) and str(found).startswith("memory://bucket/out: ") and "same command again" in str(found)
    assert translate_error(ValueError("a fault of Weft"), Store("memory://bucket/out")) is None


def test_a_local_file_without_permission_is_not_about_credentials(tmp_path: str) -> None:
    assert translate_error(PermissionError(13, "Access denied"), Store(str(tmp_path))) is None
