"""Bytes of HTML to text: byte order mark, valid UTF-8, HTTP header, meta element, detection."""

import codecs
import re

import chardet
from resiliparse.parse.encoding import map_encoding_to_html5

PRESCAN_BYTES = 4096  # the standard stops after 1024, and misses what stands behind a long <title> or comment
SAMPLE_BYTES = 20_000  # more does not change the verdict, and costs 1 ms for each 20 kB

# UTF-32's mark begins as UTF-16's does; no page in UTF-16 begins with U+0000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# what the standard's decoders of these names read: supersets, for which Python has names of their own
_SUPERSETS = {
    "ascii": "cp1252", "big5": "big5hkscs", "euc_kr": "cp949", "gb2312": "gb18030", "gbk": "gb18030",
    "iso8859-1": "cp1252", "iso8859-11": "cp874", "shift_jis": "cp932", "shift_jis_2004": "cp932",
    "euc_jis_2004": "euc_jp", "tis-620": "cp874",
}  # fmt: skip
_TWO_BYTE = ("big5hkscs", "cp932", "cp949", "euc_jp", "gb18030")  # a few characters of theirs may be valid UTF-8
MIN_SURE_CHARACTERS = 5
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_DECLARED = re.compile(
    rb"""<meta\s(?:(?!<meta\s)[^>])*?charset\s*+=\s*+["']?\s*+([^\s"'/>;]+)"""
    rb"""|\A\s*+<\?xml\s[^>]*?encoding\s*+=\s*+["']([^"']+)["']""",
    re.I,
)
_ERAS = chardet.EncodingEra.ALL & ~chardet.EncodingEra.MAINFRAME  # no page is in EBCDIC
_UNLIKELY = ("mac-roman", "mac-iceland", "mac-latin2", "mac-turkish")  # on the web; windows-1252 is taken for them


def decode_html(body: bytes, charset: str | None) -> str:
    """Decode a page.

    Args: charset is the one that the HTTP header names, or None; an unknown name is passed over.
    Never raises: bytes that do not fit become U+FFFD.
    Source: HTML Living Standard, section 13.2.3.2 "Determining the character encoding"; but valid UTF-8 goes before
    what a header or meta element says, see docs/decisions/0020-text-as-readers-see-it.md.
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    named = _known(charset) or _declared(body)
    # ISO-2022 and UTF-16 may look like UTF-8: the one has escapes, the other zeros
    if named != "utf-8" and (b"\x1b" in body or b"\x00" in body):
        return body.decode(named or _detect(body), "replace")
    text = body.decode("utf-8", "replace")
    if _is_utf8(text, named):
        return text
    return body.decode(_detect(body) if named in (None, "utf-8") else named, "replace")


def _known(name: str | None) -> str | None:
    """Return Python's name of the encoding that a page means by a name; None when there is none."""
    found = map_encoding_to_html5(name, fallback_utf8=False) if name else None
    return _SUPERSETS.get(found, found) if found else None


def _declared(body: bytes) -> str | None:
    found = _DECLARED.search(_COMMENT.sub(b"", body[:PRESCAN_BYTES]))
    name = _known((found[1] or found[2]).decode("ascii", "replace")) if found else None
    return "utf-8" if name and name.startswith("utf-16") else name  # in UTF-16 the element could not be read


def _is_utf8(text: str, named: str | None) -> bool:
    """Tell whether a page is in UTF-8, from what its bytes decode to, and from the encoding that it names.

    No other encoding's text is valid UTF-8 by chance, unless it is very short: so the bytes go before a name that
    contradicts them (for a browser the name goes first). Some broken characters cost themselves alone.
    """
    may_be = named in (None, "utf-8")
    if text.isascii() or (may_be and "\ufffd" not in text):
        return may_be
    num_broken = text.count("\ufffd")
    num_valid = len(text) - len(text.encode("ascii", "ignore")) - num_broken
    if named == "utf-8":
        return num_broken <= num_valid
    if named in _TWO_BYTE:
        return num_broken == 0 and num_valid >= MIN_SURE_CHARACTERS
    return num_broken <= num_valid / 2


def _detect(body: bytes) -> str:
    found = chardet.detect(_sample(body), encoding_era=_ERAS, exclude_encodings=_UNLIKELY, compat_names=False)
    name = found["encoding"] or "cp1252"
    return _SUPERSETS.get(name, name)


def _sample(body: bytes) -> bytes:
    """Take what tells encodings apart: the text with bytes above 127, wherever it stands."""
    if len(body) <= SAMPLE_BYTES or b"\x00" in body:
        return body[:SAMPLE_BYTES]
    pieces, size = [], 0
    for piece in re.split(rb"[<>]", body):
        if not piece.isascii():
            pieces.append(piece[: SAMPLE_BYTES - size])
            size += len(pieces[-1])
            if size >= SAMPLE_BYTES:
                break
    return b"\n".join(pieces) or body[:SAMPLE_BYTES]
