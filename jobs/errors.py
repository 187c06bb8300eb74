"""What a failure means for people: a full disk, or a part of the run's own output that cannot be read."""

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
_SAID_BY_TASK = re.compile(r"IntegrityError: (.+)")
_PART = re.compile(r"[^\s'\"<>(]*/[^\s'\"<>]*\.parquet")


def translate_error(error: Exception, store: Store) -> WeftError | None:
    """Return what to say of a failure of a run on an output; None of what is neither the disk's nor the output's."""
    said = "\n".join(map(str, _chain(error)))
    if _FULL in said or any(isinstance(e, OSError) and e.errno == errno.ENOSPC for e in _chain(error)):
        return PathError(
            f"no space left where {store.root}, or Spark's scratch (spark.local.dir), lies: make room, and the same "
            "command goes on from here"
        )
    if _UNREADABLE.search(said):
        part = _PART.search(said)
        return IntegrityError(
            f"{part[0] if part else f'a part of {store.root}'} cannot be read, it is damaged or gone: "
            f"`weft verify {store.root}` names what is, and the commands that mend it"
        )
    return None


@contextmanager
def explain_read_errors(directory: str) -> Iterator[None]:
    """Say in one line that a file of an output is damaged or gone, where the block meets that, in a task of Spark too.

    Raises: IntegrityError for what is UNREADABLE.
    """
    try:
        yield
    except (WeftError, BrokenPipeError):
        raise
    except Exception as error:
        said = _SAID_BY_TASK.search("\n".join(map(str, _chain(error))))
        if said:
            raise IntegrityError(said[1]) from error
        if not isinstance(error, UNREADABLE):
            raise
        part = re.search(re.escape(Store(directory).path) + r"/[^\n]*?\.parquet", str(error))
        raise damaged(part[0] if part else f"a file of {directory}", error) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
