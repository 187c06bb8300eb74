"""Media types by headers (Fetch standard) and by signatures (MIME Sniffing standard)."""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

HTML = "text/html"
XHTML = "application/xhtml+xml"
HTML_TYPES = frozenset({HTML, XHTML})
UNKNOWN_TYPES = frozenset({"unknown/unknown", "application/unknown"})
XML_TYPES = frozenset({"text/xml", "application/xml"})
SNIFF_BYTES = 16 << 10  # the standard reads 1,445 bytes, which may all be blank lines
MAX_BINARY_FRACTION = 0.05  # compressed data has about 0.1, text almost none

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
BINARY = bytes(
    [*range(1, 9), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)]
)  # section 3, "binary data byte", except NUL
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class MimeType(NamedTuple):
    essence: str  # type and subtype, lower case
    charset: str | None


def extract_mime_type(values: Iterable[str]) -> MimeType | None:
    """Return the media type of a message's Content-Type headers, or None when no value can be parsed.

    The last value that parses counts; it inherits the charset of a previous one of the same type.
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
        assert parameter is not None  # it matches any string
        at = parameter.end() + 1
        quoted, plain = parameter["quoted"], (parameter["plain"] or "").rstrip(_SPACE)
        if parameter["name"].lower() == "charset" and (plain or quoted is not None):
            charset = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            return MimeType(essence[1].lower(), charset.strip(_SPACE).lower() or None)
    return MimeType(essence[1].lower(), None)


def sniff_html(body: bytes) -> str:
    """Return text/html or application/xhtml+xml if a body's first bytes are of such a page, else "".

    Beyond the standard, skip a byte order mark, let any white space or a slash end a tag name, allow comments without
    a space, and recognize XHTML after an XML declaration by its root element, as browsers do.
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
    """Return whether a body is not text: its first bytes have control characters and do not begin an HTML page.

    NUL is not counted: in UTF-16 every second byte can be NUL. Source: MIME Sniffing standard, section 3.
    """
    start = body[:SNIFF_BYTES].replace(b"\0", b"")
    if not start:
        return bool(body)
    num_binary = len(start) - len(start.translate(None, BINARY))
    return num_binary > MAX_BINARY_FRACTION * len(start) and not sniff_html(body)


_WHITE_SPACE = b" \t\r\n\0"
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")
_IMAGES = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"),
)  # fmt: skip
_SIGNATURES = (
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"II\xbc\x01", "a JPEG XR image"),
    (b"8BPS", "a Photoshop document"),
    (b"qoif", "a QOI image"),
    (b"DDS ", "a DDS texture"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"FLV\1", "a Flash video"),
    (b"FWS", "a Flash animation"),
    (b"CWS", "a Flash animation"),
    (b"\0\0\1\xba", "an MPEG video"),
    (b"\0\0\1\xb3", "an MPEG video"),
    (b"OggS", "an Ogg audio or video file"),
    (b"ID3", "an MP3 audio file"),
    (b"wOFF", "a web font"),
    (b"wOF2", "a web font"),
    (b"\x1f\x8b\x08", "gzip data"),
    (b"(\xb5/\xfd", "Zstandard data"),
    (b"PK\3\4", "a ZIP archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a Linux program"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)
# The first of these brands in a file determines its kind (ISO base media file format, ISO/IEC 14496-12, section 4.3).
_BRANDS = {
    b"heic": "a HEIC image", b"heix": "a HEIC image", b"heim": "a HEIC image", b"heis": "a HEIC image",
    b"hevc": "a HEIC image", b"hevx": "a HEIC image", b"mif1": "a HEIF image", b"msf1": "a HEIF image",
    b"crx ": "a Canon raw image", b"qt  ": "a QuickTime video", b"M4A ": "an MPEG-4 audio file",
}  # fmt: skip
_RIFF = {b"AVI ": "an AVI video", b"WAVE": "a WAVE audio file"}
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_ELEMENT = re.compile(rb"<(?:\w+:)?([a-z]\w*)", re.I)  # not a declaration (<!) or an instruction (<?)
_HTML_ELEMENTS = frozenset(
    b"html head body title meta link script style iframe noscript div p span a b br center font table h1 h2 h3 h4 pre"
    b" form img section main article header".split()
)
_JSON = re.compile(rb'[{\[]\s*(?:["{\[\]}]|-?\d|true|false|null)')


def is_avif(head: bytes) -> bool:
    """Return whether an ISO base media file has an AVIF brand (AV1 Image File Format, section 6)."""
    return not {b"avif", b"avis"}.isdisjoint(_brands(head))


def _brands(head: bytes) -> list[bytes]:
    """Return the brands of an ISO base media file, the major one first; none for other files."""
    if head[4:8] != b"ftyp":
        return []
    size = min(int.from_bytes(head[:4], "big"), 1_000)
    return [head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)) - 3, 4))]


def kind_of(head: bytes) -> str | None:
    """Name the kind of bytes that no image decoder accepts, with an article; None when unknown."""
    if not head:
        return "an empty file"
    if found := _brands(head):
        return next((name for brand, name in _BRANDS.items() if brand in found), "an MP4 video")
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    body = _without_marks(head)
    for signature, name in _IMAGES:
        if body.startswith(signature) and body != head:
            num_bytes = len(head) - len(body)
            extra = "1 byte that is" if num_bytes == 1 else f"{num_bytes} bytes that are"
            return f"a {name} image after {extra} not part of it, which browsers do not show"
    return _text(body)


def _without_marks(head: bytes) -> bytes:
    body = head.lstrip(_WHITE_SPACE)
    for mark in _BYTE_ORDER_MARKS:
        body = body.removeprefix(mark)
    return body.lstrip(_WHITE_SPACE)


def _text(body: bytes) -> str | None:
    """Name the kind of a text: markup by its first element; UTF-16 by its ASCII bytes."""
    text = _COMMENT.sub(b"", body.replace(b"\0", b"")).lstrip(_WHITE_SPACE)
    if text.startswith(b"%PDF-"):
        return "a PDF document"
    if text.startswith(b"<"):
        element = _ELEMENT.search(text)
        name = element[1].lower() if element else b""
        if name == b"svg":
            return "an SVG drawing"
        if name in _HTML_ELEMENTS or text[:14].lower() == b"<!doctype html":
            return "a web page"
        return "an XML document" if text.startswith(b"<?xml") or element else None
    if _JSON.match(text):
        return "a JSON document"
    return "plain text" if text and _is_text(text) else None


def _is_text(text: bytes) -> bool:
    """Return whether bytes are UTF-8, possibly cut at the end, without binary data bytes (MIME Sniffing, section 3)."""
    start = text[:1_000]
    if start.translate(None, BINARY) != start:
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > 0 and error.start >= len(start) - 3
    return True
