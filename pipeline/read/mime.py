"""What a response is: by its headers, as the Fetch standard reads them, or by its bytes, as MIME Sniffing does."""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

HTML = "text/html"
XHTML = "application/xhtml+xml"
HTML_TYPES = frozenset({HTML, XHTML})
UNKNOWN_TYPES = frozenset({"unknown/unknown", "application/unknown"})
XML_TYPES = frozenset({"text/xml", "application/xml"})
SNIFF_BYTES = 16 << 10  # the standard looks at 1,445 bytes, of which blank lines may take all
MAX_BINARY_FRACTION = 0.05  # of compressed data about a tenth are such bytes, of text next to none

_SPACE = "\t\n\r "
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SPLIT_MARK = re.compile(r'[",\\]')
_ESSENCE = re.compile(rf"[{_SPACE}]*({_TOKEN}/{_TOKEN})[{_SPACE}]*(?:;|\Z)")
_PARAMETER = re.compile(
    rf'[{_SPACE}]*(?P<name>[^;=]*)(?:="(?P<quoted>(?:[^"\\]|\\.|\\\Z)*)[^;]*|=(?P<plain>[^;]*))?', re.DOTALL
)
_HTML_START = re.compile(
    rb"<(?:!--|(?:!doctype\s+html|html|head|body|title|meta|script|style|iframe|h1|div|font|table|a|b|br|p)[\s/>])",
    re.I,
)
_XHTML_START = re.compile(
    rb"<\?xml\s[^>]*+>\s*+(?:<!--(?:(?!-->).)*+-->\s*+)*+<(?:!doctype\s+html|(?:\w+:)?html)[\s>]", re.I | re.DOTALL
)
BINARY = bytes([*range(1, 9), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)])  # section 3, "binary data byte", but NUL
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class MimeType(NamedTuple):
    essence: str  # type and subtype, lower case
    charset: str | None


def extract_mime_type(values: Iterable[str]) -> MimeType | None:
    """Return what the Content-Type headers of a message say, or None when none of their values can be parsed.

    Of several values the last that parses counts; the charset of one before it of the same type is kept.
    Source: Fetch standard, "extract a MIME type".

    >>> extract_mime_type(["text/plain;charset=gbk, text/html", "text/html;charset=utf-8, x"])
    MimeType(essence='text/html', charset='utf-8')
    """
    found: MimeType | None = None
    for value in _split(", ".join(values)):
        parsed = _parse(value)
        if parsed is None or parsed.essence == "*/*":
            continue
        inherited = found.charset if found and found.essence == parsed.essence else None
        found = MimeType(parsed.essence, inherited if parsed.charset is None else parsed.charset)
    return found


def _split(value: str) -> Iterator[str]:
    """Split at commas outside quoted strings. Source: Fetch standard, "get, decode, and split"."""
    begin = at = 0
    is_quoted = False
    while mark := _SPLIT_MARK.search(value, at):
        at = mark.end()
        if mark[0] == '"':
            is_quoted = not is_quoted
        elif mark[0] == "\\":
            at += is_quoted
        elif not is_quoted:
            yield value[begin : at - 1]
            begin = at
    yield value[begin:]


def _parse(value: str) -> MimeType | None:
    """Source: MIME Sniffing standard, section 4.4, "parse a MIME type"."""
    essence = _ESSENCE.match(value)
    if essence is None:
        return None
    at = essence.end()
    while at < len(value):
        parameter = _PARAMETER.match(value, at)
        assert parameter is not None  # it matches anything, nothing too
        at = parameter.end() + 1
        quoted, plain = parameter["quoted"], (parameter["plain"] or "").rstrip(_SPACE)
        if parameter["name"].lower() == "charset" and (plain or quoted is not None):
            charset = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            return MimeType(essence[1].lower(), charset.strip(_SPACE).lower() or None)
    return MimeType(essence[1].lower(), None)


def sniff_html(body: bytes) -> str:
    """Return text/html or application/xhtml+xml where the first bytes of a body are of such a page, "" otherwise.

    Beyond the standard a byte order mark is passed over, any white space or a slash ends a tag's name, comments need
    no space, and a page of XHTML behind an XML declaration is told from other XML, as a browser tells it by its root.
    Source: MIME Sniffing standard, section 7.1, "identifying a resource with an unknown MIME type".
    """
    start = body[:SNIFF_BYTES].removeprefix(codecs.BOM_UTF8)
    if start.startswith(_WIDE_MARKS):
        start = start[2:].replace(b"\0", b"")
    start = start.lstrip(b"\t\n\f\r ")
    if _HTML_START.match(start):
        return HTML
    return XHTML if _XHTML_START.match(start) else ""


def is_binary(body: bytes) -> bool:
    """Tell whether a body is no text: its first bytes neither begin a page, nor are they free of control characters.

    NUL is not counted: in UTF-16 every second byte may be one. Source: MIME Sniffing standard, section 3.
    """
    start = body[:SNIFF_BYTES].replace(b"\0", b"")
    if not start:
        return bool(body)
    num_binary = len(start) - len(start.translate(None, BINARY))
    return num_binary > MAX_BINARY_FRACTION * len(start) and not sniff_html(body)
