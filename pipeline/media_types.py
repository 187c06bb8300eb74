"""What bytes are that were served as an image: the name of their format, by signature.

Source: the MIME Sniffing standard (https://mimesniff.spec.whatwg.org/), sections 6 and 7, and the formats' own
specifications. Only the names that errors give depend on it.
"""

import re

from pipeline.read.mime import BINARY

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
# The first of these brands that a file has names it (ISO base media file format, ISO/IEC 14496-12, section 4.3).
_BRANDS = {
    b"heic": "a HEIC image", b"heix": "a HEIC image", b"heim": "a HEIC image", b"heis": "a HEIC image",
    b"hevc": "a HEIC image", b"hevx": "a HEIC image", b"mif1": "a HEIF image", b"msf1": "a HEIF image",
    b"crx ": "a Canon raw image", b"qt  ": "a QuickTime video", b"M4A ": "an MPEG-4 audio file",
}  # fmt: skip
_RIFF = {b"AVI ": "an AVI video", b"WAVE": "a WAVE audio file"}
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_ELEMENT = re.compile(rb"<(?:\w+:)?([a-z]\w*)", re.I)  # neither a declaration (<!) nor an instruction (<?)
_OF_PAGES = frozenset(
    b"html head body title meta link script style iframe noscript div p span a b br center font table h1 h2 h3 h4 pre"
    b" form img section main article header".split()
)
_JSON = re.compile(rb'[{\[]\s*(?:["{\[\]}]|-?\d|true|false|null)')


def is_avif(head: bytes) -> bool:
    """Tell whether a file of the ISO base media file format has a brand of AVIF (AV1 Image File Format, section 6)."""
    return not {b"avif", b"avis"}.isdisjoint(_brands(head))


def _brands(head: bytes) -> list[bytes]:
    """Return the brands of a file of the ISO base media file format, the major one first; none of any other file."""
    if head[4:8] != b"ftyp":
        return []
    size = min(int.from_bytes(head[:4], "big"), 1_000)
    return [head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)) - 3, 4))]


def kind_of(head: bytes) -> str | None:
    """Name what bytes are that no image decoder takes, with its article; None when nothing is known of them."""
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
            return f"a {name} image behind {extra} not part of it, which no browser shows"
    return _text(body)


def _without_marks(head: bytes) -> bytes:
    body = head.lstrip(_WHITE_SPACE)
    for mark in _BYTE_ORDER_MARKS:
        body = body.removeprefix(mark)
    return body.lstrip(_WHITE_SPACE)


def _text(body: bytes) -> str | None:
    """Name text: markup by its first element; any UTF-16 is read by its ASCII bytes."""
    text = _COMMENT.sub(b"", body.replace(b"\0", b"")).lstrip(_WHITE_SPACE)
    if text.startswith(b"%PDF-"):
        return "a PDF document"
    if text.startswith(b"<"):
        element = _ELEMENT.search(text)
        name = element[1].lower() if element else b""
        if name == b"svg":
            return "an SVG drawing"
        if name in _OF_PAGES or text[:14].lower() == b"<!doctype html":
            return "a web page"
        return "an XML document" if text.startswith(b"<?xml") or element else None
    if _JSON.match(text):
        return "a JSON document"
    return "plain text" if text and _is_text(text) else None


def _is_text(text: bytes) -> bool:
    """Tell whether bytes are UTF-8, but for a cut at the end, without a binary data byte (MIME Sniffing, section 3)."""
    start = text[:1_000]
    if start.translate(None, BINARY) != start:
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > 0 and error.start >= len(start) - 3
    return True
