"""Values of a recipe and names of archives as anybody may read them: no path, no password in an address."""

import re
from typing import Any

from schemas.secrets import redact

_LOCAL_DIR = "local-dir:"


def public_name(name: str) -> str:
    """Return a local path's base name; an address without its user, query and fragment, which may hold keys."""
    if name.startswith("file:"):
        return _base(name)
    if "://" in name:
        scheme, _, rest = re.split(r"[?#]", name, maxsplit=1)[0].partition("://")
        authority, slash, path = rest.partition("/")
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return _base(name)


def public_values(value: Any) -> Any:
    """Return nested values of a recipe with every string that is a path of this machine, or an address, made public."""
    if isinstance(value, dict):
        return {key: public_values(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [public_values(v) for v in value]
    if isinstance(value, str):
        return _public_string(value)
    return value


def _public_string(value: str) -> str:
    if value.startswith(_LOCAL_DIR):
        return _LOCAL_DIR + _base(value)
    is_address = "://" in value and " " not in value
    is_path = value.startswith(("/", "./", "../", "~", "file:"))
    return public_name(value) if is_address or is_path else redact(value)


def _base(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]
