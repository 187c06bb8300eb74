"""The error tree. Malformed web data is a rejection row, never one of these errors."""


class WeftError(Exception):
    """Base of every error that Weft raises on purpose; the command line prints it as one line and exits with 2."""


class RecipeError(WeftError):
    """A recipe or trainer configuration is unknown, malformed, or differs from the one that made an output."""


class PathError(WeftError):
    """An input is missing or an output cannot be written."""


class MissingError(WeftError):
    """A requirement of the machine is missing (Java, an optional package, a device)."""


class SchemaError(WeftError):
    """A table or batch lacks the declared columns or types."""


class IntegrityError(WeftError):
    """Stored bytes do not match their manifest, index or checksum."""


class DivergedError(WeftError):
    """The losses or gradients of a training run are no longer finite."""


class TransientError(WeftError):
    """A failure that may be temporary; the only error that is retried."""
