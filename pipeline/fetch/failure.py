"""Why an image did not come."""


def class_of(status: int) -> str:
    """Return the class of an HTTP status that brings nothing, one of schemas.tables.IMAGE_STATUS."""
    return "http_429" if status == 429 else "http_4xx" if 400 <= status < 500 else "http_5xx"


class Failure(Exception):
    """One of schemas.tables.IMAGE_STATUS other than 'ok', and what the server or socket said.

    passes: whether the same request may well succeed in a while; wait_seconds: what the server asks to wait.
    is_lost: whether the host gave no connection, or no whole answer.
    """

    def __init__(
        self,
        status: str,
        error: str,
        *,
        passes: bool = False,
        wait_seconds: float | None = None,
        is_lost: bool = False,
    ) -> None:
        super().__init__(f"{status}: {error}")
        self.status = status
        self.error = "".join(c if c.isprintable() else " " for c in error[:500])  # a stranger's words among them
        self.passes, self.wait_seconds, self.is_lost = passes, wait_seconds, is_lost
