"""The licence that a page states for its main content: link type `license` of the HTML standard (section 4.6.7.9)."""

from lxml.html import HtmlElement

from pipeline.extract.images.addresses import absolute, base_address


def licence_of(tree: HtmlElement, url: str) -> str:
    """Return the address of a page's licence: of its first link that says rel="license"; '' where none does.

    It is what the page says of itself, neither checked nor acted on.
    """
    stated = tree.xpath("(//link | //a | //area)[@rel and @href]")
    links = (e for e in stated if "license" in e.get("rel").lower().split())
    base = base_address(tree, url)
    return next((address for e in links if (address := absolute(e.get("href"), base))), "")
