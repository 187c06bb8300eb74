"""Bytes of HTML to a tree."""

import re

import lxml.html

from pipeline.extract.charset import decode_html

_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


class NotParseable(Exception):
    """No tree could be built from the bytes."""


def parse(body: bytes, charset: str | None) -> lxml.html.HtmlElement:
    """Decode a page and parse it.

    Args: body is decoded from transfer and content encodings; charset is the HTTP header's, or None.
    Raises: NotParseable when nothing is left to build a tree from.
    """
    html = _XML_DECLARATION.sub("", decode_html(body, charset).replace("\x00", ""))
    try:
        return lxml.html.document_fromstring(html)
    except (lxml.etree.ParserError, lxml.etree.ParseError, ValueError) as error:
        raise NotParseable(str(error)) from error
