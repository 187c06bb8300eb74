"""The error tree. Bad bytes from the web are data (a rejection row), never one of these."""


class WeftError(Exception):
    """Base of every error that Weft raises on purpose; the command line prints it as one line and exits with 2."""


class RecipeError(WeftError):
    """A recipe (or trainer configuration) is unknown, malformed, or differs from the one an output was made with."""


class PathError(WeftError):
    """An input is missing or an output cannot be written."""


class MissingError(WeftError):
    """Something the machine must have is missing (Java, an optional package, a device)."""


class SchemaError(WeftError):
    """A table or batch does not hold the columns and types that it promises."""


class IntegrityError(WeftError):
    """Stored bytes do not match their manifest, index or checksum."""


class DivergedError(WeftError):
    """The losses or gradients of a training run are no longer finite."""


class TransientError(WeftError):
    """A failure that may pass by itself; the only error that is retried."""
