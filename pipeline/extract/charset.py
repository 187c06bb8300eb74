"""Bytes of HTML to text, by the standard's order: byte order mark, HTTP header, meta element, detection."""

import codecs

from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def decode_html(body: bytes, charset: str | None) -> str:
    """Decode a page.

    Args: charset is the one that the HTTP header names, or None; an unknown name is passed over.
    Never raises: bytes that do not fit become U+FFFD.
    Source: HTML Living Standard, section 13.2.3.2 "Determining the character encoding".
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    named = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    encoding = named or detect_encoding(body, from_html_meta=True) or "utf-8"
    return bytes_to_str(body, encoding, errors="replace")
