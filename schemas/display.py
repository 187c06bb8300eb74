"""What may be printed: text of strangers without control characters, addresses and settings without credentials."""

import json
import math
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


# C0 but tab and line feed, DEL, C1; embeddings, overrides and isolates of UAX #9 and its deprecated controls; lone
# surrogates, which no terminal can encode.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ud800-\udfff]")
_BREAKS = re.compile("[\t\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029]+")
_IN_JSON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")  # json escapes the rest by itself


def printable(text: str, lines: bool = False) -> str:
    """Return text as a terminal may show it: in one line, or with its tabs and line feeds where `lines` is true."""
    return _CONTROL.sub(_spelled, text if lines else _BREAKS.sub(" ", text))


def message(text: object) -> str:
    """Return an error or a warning as it may be printed: in one line, without credentials."""
    return printable(redact(str(text)))


def shorten(error: object, max_characters: int = 300) -> str:
    """Return the words of an error in one line, cut: libraries quote what they cannot read, however long that is."""
    return " ".join(str(error).split())[:max_characters]


def describe(error: BaseException, max_characters: int = 500) -> str:
    """Return an error with its class, in one printable line that any table takes, cut."""
    return printable(f"{type(error).__name__}: {error}")[:max_characters]


def percent(part: float, whole: float) -> str:
    """Return a part as people read it: 9.3 %, 42 %, 99.9 %; '' of nothing.

    100 % is all and 0 % is none: of what is nearly so the rounding goes the other way.
    """
    if not whole:
        return ""
    value = 100 * part / whole
    if 0 < value < 0.1:
        return "< 0.1 %"
    if value > 99 and part < whole:
        return f"{min(math.floor(10 * value) / 10, 99.9):.1f} %"
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON that may be printed; it holds the same value, its control characters escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
