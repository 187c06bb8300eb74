"""Text that strangers wrote, as it may be printed: it moves no cursor, turns no line around and starts no new one.

What would act on a terminal is shown as Python spells it (`\\x1b`, `\\u202e`), so that two names still look different.
"""

import json
import math
import re
from typing import Any

from schemas.secrets import redact

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
