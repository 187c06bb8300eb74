"""Ways in which HTML refers to an image: the URL and the markup around it."""

from dataclasses import dataclass
from html import escape
from urllib.parse import quote, urljoin

from tests.sampleweb.pictures import Picture

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
FOLDERS = {"relative": "media/", "base": "pictures/", "root": "/media/"}

# name: markup. {src} is the address as the page writes it, {alt} ends in a quoted alt attribute.
MARKUP = {
    "absolute": '<img src="{src}" {alt} width="{width}" height="{height}">',
    "relative": '<img src="{src}" {alt}>',
    "base": '<img src="{src}" {alt}>',
    "root": '<img src="{src}" {alt}>',
    "protocol": '<img src="{src}" {alt}>',
    "data-src": '<img class="lazy" src="/static/blank.gif" data-src="{src}" {alt}>',
    "data-src over data": '<img class="lazyload" src="{pixel}" data-src="{src}" {alt}>',
    "data-original": '<img class="lazy" src="/static/blank.gif" data-original="{src}" {alt}>',
    "noscript": '<img class="lazy" src="{pixel}" alt=""><noscript><img src="{src}" {alt}></noscript>',
    "srcset": '<img src="{src}" srcset="{small} 64w, {src} {width}w" sizes="100vw" {alt}>',
    "srcset alone": '<img srcset="{small} 1x, {src} 2x" {alt}>',
    "picture": '<picture><source media="(min-width: 40em)" srcset="{src}"><img src="{src}" {alt}></picture>',
}
EMBEDDINGS = tuple(name for name in MARKUP if name != "base")  # any page may use these; "base" needs a <base href>


@dataclass(frozen=True)
class Placement:
    """An image on a page. `src` is its address as written there; `matches` says whether the alt text is true."""

    picture: Picture
    src: str
    embedding: str
    alt: str
    caption: str = ""
    matches: bool = True

    @property
    def html(self) -> str:
        stem, dot, extension = self.src.rpartition(".")
        return MARKUP[self.embedding].format(
            src=escape(self.src),
            small=escape(f"{stem}-small{dot}{extension}"),
            pixel=PIXEL,
            alt=f'alt="{escape(self.alt)}"',
            width=self.picture.width,
            height=self.picture.height,
        )


def source(embedding: str, image_site: str, name: str) -> str:
    """Return the address of a file as a page writes it; `image_site` is where whole addresses lead."""
    if embedding == "protocol":
        return f"{image_site.partition(':')[2]}/{name}"
    return FOLDERS.get(embedding, f"{image_site}/") + name


def resolved(src: str, page_url: str, base: str = "") -> str:
    """Return the absolute, percent-encoded form of an address as written on a page (RFC 3986, section 5)."""
    return quote(urljoin(urljoin(page_url, base), src), safe=":/?&=%")
