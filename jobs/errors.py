"""Translate errors of Spark, the operating system and stores: a full disk, an unreadable file, lost access."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.io.store import Store
from pipeline.io.tables import UNREADABLE, damaged
from schemas.errors import IntegrityError, PathError, WeftError

_FULL = "No space left on device"
_UNREADABLE = re.compile(
    r"FAILED_READ_FILE|PATH_NOT_FOUND|is not a Parquet file|Parquet magic bytes not found|Couldn't deserialize thrift"
    r"|Could not read footer"
)
_DENIED = re.compile(
    r"ExpiredToken\w*|InvalidAccessKeyId|SignatureDoesNotMatch|Access ?Denied|NoCredentialsError|AccessControlException"
    r"|Unable to locate credentials|AuthenticationFailed|InvalidToken|403 Forbidden"
)
_UNREACHABLE = re.compile(
    r"EndpointConnectionError|Could not connect to the endpoint|ConnectTimeoutError|Connection refused|SlowDown"
    r"|Connection reset by peer|ServiceUnavailable"
)
_TASK_ERROR = re.compile(r"IntegrityError: (.+)")
_PART = re.compile(r"[^\s'\"<>(]*/[^\s'\"<>]*\.parquet")


def translate_error(error: Exception, store: Store) -> WeftError | None:
    """Return the error to raise for a full disk, an unreadable file, or a store that refuses or is gone; else None."""
    text = "\n".join(map(str, _chain(error)))
    if _FULL in text or any(isinstance(e, OSError) and e.errno == errno.ENOSPC for e in _chain(error)):
        return PathError(
            f"no space left for {store.root} or Spark's scratch folder (spark.local.dir): free some space and run the "
            "same command again to continue"
        )
    if not store.local and (denied := _DENIED.search(text)):
        return PathError(
            f"{store.root}: access is denied ({denied[0]}): renew the credentials here and on every node, and run the "
            "same command again; what is finished is kept"
        )
    if not store.local and (lost := _UNREACHABLE.search(text)):
        return PathError(
            f"{store.root}: the store cannot be reached ({lost[0]}), after several attempts: run the same command "
            "again to continue"
        )
    if _UNREADABLE.search(text):
        part = _PART.search(text)
        return IntegrityError(
            f"cannot read {part[0] if part else f'a part of {store.root}'}, it is damaged or missing: "
            f"`weft verify {store.root}` lists damaged files and the commands that repair them"
        )
    return None


@contextmanager
def explain_read_errors(directory: str) -> Iterator[None]:
    """Translate errors of reading an output, here or in Spark tasks, into a one-line IntegrityError."""
    try:
        yield
    except (WeftError, BrokenPipeError):
        raise
    except Exception as error:
        of_task = _TASK_ERROR.search("\n".join(map(str, _chain(error))))
        if of_task:
            raise IntegrityError(of_task[1]) from error
        if not isinstance(error, UNREADABLE):
            raise
        part = re.search(re.escape(Store(directory).path) + r"/[^\n]*?\.parquet", str(error))
        raise damaged(part[0] if part else f"a file of {directory}", error) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
