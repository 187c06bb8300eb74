r"""Credentials in addresses, settings and command lines: they are never written into an output nor printed.

What is hidden: the user and password of an address; the values of query parameters that sign or authorise a request
(Amazon's, Google's and Azure's signed addresses, tokens, API keys); values of settings and headers whose names say that
they are secret, as Spark's own redaction does (spark.redaction.regex).
"""

import re
from typing import Any

MASK = "***"
# Of a query: Amazon's X-Amz-* and AWSAccessKeyId, Google's X-Goog-* and GoogleAccessId, Azure's sig, CloudFront's
# Signature, Policy and Key-Pair-Id.
_SIGNING = (
    r"(?:[\w.~-]{0,40}(?:signature|credential|token|secret|passw|passphrase|access[_-]?key|access[_-]?id|api[_-]?key|"
    r"key[_-]pair[_-]id|private[_-]?key)[\w.~-]{0,40}|sig|policy|pwd|auth|authorization|jwt|hmac)"
)
_SECRET = re.compile(
    r"secret|passw(or)?d|passphrase|token(?!s|iz)|access[._-]?key|api[._-]?key|private[._-]?key|credential",
    re.IGNORECASE,
)
SPARK_PROPERTIES = (
    r"(?i)secret|passw(or)?d|token|access[._-]?key|api[._-]?key|private[._-]?key|credential|://[^/\s:]*:[^/\s]*@"
)
"""For spark.redaction.regex: names and values of properties that Spark hides, whole."""
ADDRESS_USER = r"(?<=://)[^/\s:]*:[^/\s]*@"
"""For spark.redaction.string.regex: what Spark hides of the words of a plan."""

_USER = re.compile(r"\b([a-z][a-z0-9+.-]{0,30}://)([^/?#\s]*)@", re.IGNORECASE)
_CONTAINERS = ("abfs://", "abfss://", "wasb://", "wasbs://")  # of Azure: what comes before @ is a place, not a person
_ODD_USER = re.compile(ADDRESS_USER)  # a password that holds ? or #, which an address should not
# A proxy without its scheme: user:password@host:port.
_BARE_USER = re.compile(r"(?<![^\s'\"=,(])[^\s/@:'\"=,(]+:[^@/\s'\",]+@(?=[\w.-]+:\d{1,5}\b)")
_QUERY = re.compile(rf"([?&;]{_SIGNING}=)[^&;#\s'\"<>]+", re.IGNORECASE)
_SETTING = re.compile(r"(?<![?&;/\w.-])([\w.-]+)=[^\s'\",;]+")
_HEADER = re.compile(
    r"(authorization['\"]?\s*[:=]\s*(?:b(?=['\"]))?['\"]?(?:(?:basic|bearer|digest)\s+)?)[^\s'\",}]+", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return text with every credential masked; what has none comes back as it is, and so does what was redacted."""
    text = redact_address(text)
    if "@" in text:
        text = _BARE_USER.sub(f"{MASK}@", _ODD_USER.sub(f"{MASK}@", text))
    if "=" in text:
        text = _SETTING.sub(lambda m: f"{m[1]}={MASK}" if _SECRET.search(m[1]) else m[0], text)
    return _HEADER.sub(rf"\g<1>{MASK}", text)


def redact_address(address: str) -> str:
    """Return an address without its credentials: by this name its archive is known, whatever opens it."""
    if "://" not in address:
        return address
    return _QUERY.sub(rf"\g<1>{MASK}", _USER.sub(_without_user, address))


def _without_user(found: re.Match[str]) -> str:
    is_place = found[1].lower() in _CONTAINERS and ":" not in found[2]
    return found[0] if is_place else f"{found[1]}{MASK}@"


def redacted(value: Any) -> Any:
    """Return nested values, as of a recipe, with the credentials in every string masked."""
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def masked_keys(value: Any, key: str = "") -> list[str]:
    """List the keys of nested values, as `fetch.proxy`, whose credentials were masked: they open nothing any more."""
    if isinstance(value, dict):
        return [found for name, item in value.items() for found in masked_keys(item, f"{key}.{name}" if key else name)]
    if isinstance(value, list | tuple):
        return [key] if any(masked_keys(item, key) for item in value) else []
    return [key] if isinstance(value, str) and (f"{MASK}@" in value or f"={MASK}" in value) else []
