"""Safe output: untrusted text without control characters, URLs and settings without credentials."""

import json
import math
import re
from typing import Any

MASK = "***"
# Query parameters that hold credentials: Amazon's X-Amz-* and AWSAccessKeyId, Google's X-Goog-* and GoogleAccessId,
# Azure's sig, CloudFront's Signature, Policy and Key-Pair-Id.
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
"""For spark.redaction.regex: Spark hides the value of a property whose name or value matches."""
ADDRESS_USER = r"(?<=://)[^/\s:]*:[^/\s]*@"
"""For spark.redaction.string.regex: Spark hides these parts of a query plan's text."""

_USER = re.compile(r"\b([a-z][a-z0-9+.-]{0,30}://)([^/?#\s]*)@", re.IGNORECASE)
_CONTAINERS = ("abfs://", "abfss://", "wasb://", "wasbs://")  # Azure: the part before @ is a container, not a user
_ODD_USER = re.compile(ADDRESS_USER)  # a password with ? or #, which is invalid in a URL
# A proxy without its scheme: user:password@host:port.
_BARE_USER = re.compile(r"(?<![^\s'\"=,(])[^\s/@:'\"=,(]+:[^@/\s'\",]+@(?=[\w.-]+:\d{1,5}\b)")
_QUERY = re.compile(rf"([?&;]{_SIGNING}=)[^&;#\s'\"<>]+", re.IGNORECASE)
_SETTING = re.compile(r"(?<![?&;/\w.-])([\w.-]+)=[^\s'\",;]+")
_HEADER = re.compile(
    r"(authorization['\"]?\s*[:=]\s*(?:b(?=['\"]))?['\"]?(?:(?:basic|bearer|digest)\s+)?)[^\s'\",}]+", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return text with every credential masked; idempotent, and text without credentials is unchanged."""
    text = redact_address(text)
    if "@" in text:
        text = _BARE_USER.sub(f"{MASK}@", _ODD_USER.sub(f"{MASK}@", text))
    if "=" in text:
        text = _SETTING.sub(lambda m: f"{m[1]}={MASK}" if _SECRET.search(m[1]) else m[0], text)
    return _HEADER.sub(rf"\g<1>{MASK}", text)


def redact_address(address: str) -> str:
    """Return a URL without its credentials; tables and manifests name an archive by this form."""
    if "://" not in address:
        return address
    return _QUERY.sub(rf"\g<1>{MASK}", _USER.sub(_without_user, address))


def _without_user(found: re.Match[str]) -> str:
    is_container = found[1].lower() in _CONTAINERS and ":" not in found[2]
    return found[0] if is_container else f"{found[1]}{MASK}@"


def redacted(value: Any) -> Any:
    """Return nested values, such as a recipe's, with the credentials in every string masked."""
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def masked_keys(value: Any, key: str = "") -> list[str]:
    """List the keys of nested values, such as `fetch.proxy`, whose credentials were masked and no longer work."""
    if isinstance(value, dict):
        return [inner for name, item in value.items() for inner in masked_keys(item, f"{key}.{name}" if key else name)]
    if isinstance(value, list | tuple):
        return [key] if any(masked_keys(item, key) for item in value) else []
    return [key] if isinstance(value, str) and (f"{MASK}@" in value or f"={MASK}" in value) else []


# C0 except tab and line feed, DEL, C1; embeddings, overrides and isolates of UAX #9 and its deprecated controls; lone
# surrogates, which a terminal cannot encode.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ud800-\udfff]")
_BREAKS = re.compile("[\t\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029]+")
_IN_JSON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")  # json.dumps escapes the rest


def printable(text: str, lines: bool = False) -> str:
    """Return text that is safe on a terminal: one line, or with tabs and line feeds kept if `lines`."""
    return _CONTROL.sub(_escaped, text if lines else _BREAKS.sub(" ", text))


def message(text: object) -> str:
    """Return an error or a warning as one printable line without credentials."""
    return printable(redact(str(text)))


def shorten(error: object, max_characters: int = 300) -> str:
    """Return an error's message as one truncated line: libraries quote unreadable input at any length."""
    return " ".join(str(error).split())[:max_characters]


def describe(error: BaseException, max_characters: int = 500) -> str:
    """Return an error's class and message as one truncated printable line, valid in any table."""
    return printable(f"{type(error).__name__}: {error}")[:max_characters]


def percent(part: float, total: float) -> str:
    """Format a fraction as a percentage: 9.3 %, 42 %, 99.9 %; '' when `total` is 0.

    Only all is 100 % and only none is 0 %: values close to either are rounded away from it.
    """
    if not total:
        return ""
    value = 100 * part / total
    if 0 < value < 0.1:
        return "< 0.1 %"
    if value > 99 and part < total:
        return f"{min(math.floor(10 * value) / 10, 99.9):.1f} %"
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def to_json(value: Any, indent: int | None = None) -> str:
    """Return printable JSON of the same value, with control characters escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
