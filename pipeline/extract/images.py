"""Which address an <img> means, and what the page says of it.

Sites hide the real address in lazy attributes, srcset, <picture> or <noscript>. `mark_images` finds it for every
image of a tree and leaves a numbered placeholder in `src`, which survives text extraction and leads back here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from lxml.html import HtmlElement

_LAZY = ("data-src", "data-lazy-src", "data-original", "data-lazy", "data-url", "data-hi-res-src", "data-full-src")
_SRCSETS = ("data-srcset", "data-lazy-srcset", "srcset")
# A candidate ends at white space; commas belong to the address unless they close it (HTML standard, 4.8.4.3.10).
_CANDIDATE = re.compile(r"[\s,]*(\S*[^\s,])(?:\s+(\d+(?:\.\d+)?)[wxh][^,]*)?\s*(?:,|$)")
_PLACEHOLDER = re.compile(r"weft-image-(\d+)\.jpg$")
_SAFE = "/%:=&~+!$,;'@()*[]"  # what stays as it is: "%" too, so that nothing is encoded twice
MAX_URL_CHARACTERS = 2_000


@dataclass(frozen=True)
class Image:
    url: str
    alt: str
    caption: str
    width: int | None
    height: int | None


def mark_images(tree: HtmlElement, page_url: str) -> list[Image]:
    """Find the page's images in reading order, and mark each in the tree with a placeholder that names its index.

    Changes the tree: <noscript> is opened where it holds images, other attributes of <img> go, and an <img> without
    a usable address goes too.
    """
    base = _base(tree, page_url)
    for noscript in list(tree.iter("noscript")):
        if next(noscript.iter("img"), None) is not None:
            noscript.drop_tag()
    images: list[Image] = []
    for element in list(tree.iter("img", "amp-img")):
        url = next(_addresses(element, base), None)
        again = images and url == images[-1].url  # the <noscript> twin of a lazy image
        if url is None or again:
            if element.getparent() is not None:
                element.drop_tree()
            continue
        alt = _fold(element.get("alt") or element.get("title"))
        sizes = [_pixels(element.get(side)) for side in ("width", "height")]
        images.append(Image(url, alt, _figcaption(element), *sizes))
        element.tag = "img"
        element.attrib.clear()
        element.set("src", f"weft-image-{len(images) - 1}.jpg")
    return images


def marked(src: str | None) -> int | None:
    """Return the index that a placeholder names; None for any other address."""
    found = _PLACEHOLDER.search(src or "")
    return int(found[1]) if found else None


def absolute(address: str, base: str) -> str | None:
    """Resolve an address against its base and percent-encode it once.

    None unless it is a usable http(s) address, and another one than the base itself.
    """
    address = re.sub(r"[\t\r\n]", "", address.strip())
    if not address or len(address) > MAX_URL_CHARACTERS or address.startswith(("data:", "#", "about:")):
        return None
    try:
        joined = urljoin(base, address)
        parts = urlsplit(joined)
        host, port = (parts.hostname or ""), parts.port
        host = host if host.isascii() else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        return None
    if parts.scheme not in ("http", "https") or not host or joined == base:
        return None
    host = f"[{host}]" if ":" in host else host
    netloc = host if port in (None, {"http": 80, "https": 443}[parts.scheme]) else f"{host}:{port}"
    path = quote(parts.path, safe=_SAFE) or "/"
    return urlunsplit((parts.scheme, netloc, path, quote(parts.query, safe=_SAFE + "?"), ""))


def _base(tree: HtmlElement, page_url: str) -> str:
    for element in tree.iter("base"):
        if element.get("href"):
            try:
                return urljoin(page_url, str(element.get("href")).strip())
            except ValueError:
                break
    return page_url


def _addresses(element: HtmlElement, base: str) -> Iterator[str]:
    """Yield the usable addresses of an image, the best first."""
    picture = next(element.iterancestors("picture"), None)  # libxml2 nests <img> in <source>
    sources = list(picture.iter("source")) if picture is not None else []
    written = [c for e in (element, *sources) for name in _SRCSETS for c in largest(e.get(name))]
    written += [element.get(name) for name in _LAZY if element.get(name)]
    written.append(element.get("src") or "")
    for address in written:
        url = absolute(address, base)
        if url:
            yield url


def largest(srcset: str | None) -> list[str]:
    """Return the candidate addresses of a srcset, largest first; equal ones in the order written."""
    candidates = [(float(m[2] or 1), m[1]) for m in _CANDIDATE.finditer(srcset or "")]
    return [address for _, address in sorted(candidates, key=lambda c: -c[0])]


def _figcaption(element: HtmlElement) -> str:
    figure = next(element.iterancestors("figure"), None)
    caption = next(figure.iter("figcaption"), None) if figure is not None else None
    return _fold(caption.text_content()) if caption is not None else ""


def _pixels(value: str | None) -> int | None:
    found = re.fullmatch(r"\s*(\d{1,5})(?:\.\d*)?(?:px)?\s*", value or "")
    return int(found[1]) if found else None


def _fold(text: str | None) -> str:
    return " ".join((text or "").split())
