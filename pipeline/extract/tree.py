"""Bytes of HTML to a tree."""

import re

import lxml.html

from pipeline.extract.charset import decode_html
from pipeline.extract.depth import deep_parser, flatten
from pipeline.extract.rendering import render

_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


class NotParseable(Exception):
    """No tree could be built from the bytes."""


def parse(body: bytes, charset: str | None) -> lxml.html.HtmlElement:
    """Decode a page, parse it, and make the tree hold what a browser shows.

    Args: body is decoded from transfer and content encodings; charset is the HTTP header's, or None.
    Raises: NotParseable when nothing is left to build a tree from.
    """
    text = decode_html(body, charset).replace("\x00", "").replace("\r\n", "\n")
    html = flatten(_XML_DECLARATION.sub("", text))
    try:
        tree = lxml.html.document_fromstring(html, parser=deep_parser())
        render(tree)
        return tree
    except (lxml.etree.ParserError, lxml.etree.ParseError, ValueError) as error:
        raise NotParseable(str(error)) from error
