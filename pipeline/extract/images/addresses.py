"""Which address an image element means.

Sites hide the real address in lazy attributes, srcset and <picture>, and put a placeholder where it should be.
"""

import re
from collections.abc import Iterator

from lxml.html import HtmlElement

from pipeline.extract.images.srcset import best, candidates
from pipeline.fetch.url import is_valid, parse, resolve

MAX_URL_CHARACTERS = 2_000
_READABLE = {f"image/{name}" for name in ("avif", "bmp", "gif", "jpeg", "jpg", "pjpeg", "png", "tiff", "webp")}
_IMAGE_PATH = re.compile(r"[^?#]*\.(?:avif|bmp|gif|jfif|jpe?g|png|tiff?|webp)(?:[?#].*)?", re.I | re.S)
_NO_ADDRESS = re.compile(r"[{<\"]")  # JSON, markup, or a template that a script would have filled in
_NARROW = re.compile(r"max-width|print|dark", re.I)  # <source media>: not what a reader at a desk sees by default
_NO_IMAGE = re.compile(
    r"[^?#]*\.(?:mp4|m4v|webm|mov|ogv|avi|m3u8|mpd|mp3|m4a|ogg|wav|html?|php\d?|aspx?|jsp|json|xml|js|css|pdf|zip|vtt)",
    re.I,
)
# The HTML standard's attributes of <img>, present and past, and those of amp-img and RDFa.
_STANDARD = frozenset(
    (
        "accesskey", "align", "alt", "border", "class", "content", "contenteditable", "crossorigin",
        "decoding", "dir", "draggable", "dynsrc", "elementtiming", "fetchpriority", "height", "hidden", "href",
        "hspace", "id", "importance", "ismap", "itemid", "itemprop", "itemref", "itemscope", "itemtype", "lang",
        "layout", "loading", "longdesc", "lowsrc", "media", "name", "nonce", "property", "referrerpolicy", "rel",
        "role", "sizes", "slot", "src", "srcset", "style", "tabindex", "title", "translate", "type", "typeof",
        "usemap", "vspace", "width", "xmlns",
    )
)  # fmt: skip
_EXPRESSION = re.compile(r"^(?:[:@\[(]|v-|x-|on|aria-)|^data-(?:bind|on-)")  # what a script computes, or does
# Lazy attributes by their names: that of the whole picture, of any picture, and of another or a smaller one.
_SOURCE = re.compile(r"src$|^data-(?:original|lazy|lazy-?load|echo)$|^(?:original|loadlate|lazyload|real|orig|_src)$")
_WHOLE = re.compile(r"full|large|big|orig|hi-?res|high|zoom|max|retina|2x|\bhd\b")
_OF_IMAGE = re.compile(r"src|url|ima?ge?|lazy|load|delay|defer|file|photo|picture|media")
_PLAIN_ADDRESS = re.compile(r"(?:https?:)?//[^/\s]+/[^\s]*[^/\s]", re.I)
_OF_IMAGE_URL = re.compile(r"(?:ima?ge?|photo|picture|src|base|lazy|media)[-_]?ur[il]$")
_OTHER = re.compile(
    r"placeholder|low|small|thumb|tiny|mini|medium|blur|preview|poster|video|audio|iframe|fallback|error|default"
    r"|hover|mouse|roll|second|anim|next|prev|background|\bbg|avatar|icon|logo|\bpin|facebook|twitter|share|title|caption"
    r"|alt\b|href|link|page|track|beacon|(?<!lazy)(?<!lazy-)loading|preloader|spinner|blank|dummy|broken|missing"
    r"|no-?(?:image|img|photo|pic)|not-?found|unavailable|mobile|tablet"
)
# What sites call the picture that stands in for another: every word of the file's name must be one of these.
_STAND_INS = {"placeholder", "spacer", "blank", "transparent", "trans", "pixel", "lazy", "lazyload", "loading",
              "loader", "preloader", "spinner", "cleardot", "1x1", "empty", "grey", "gray", "none", "null", "dot",
              "clear", "space"}  # fmt: skip
_SURE_STAND_INS = {"placeholder", "spacer", "blank", "transparent", "1x1", "cleardot"}  # of photographs too
_BESIDE_STAND_INS = {"", "image", "img", "ajax", "white", "black", "bg", "horizontal",
                     "vertical", "square", "small", "big", "large", "default", "icon", "gif"}  # fmt: skip
_DRAWN = (".gif", ".png", ".svg")


def absolute(address: str, base: str) -> str | None:
    """Resolve an address as browsers do (the WHATWG URL standard), without fragment and credentials.

    None unless it is a usable http(s) address, and another one than the base itself.
    """
    if len(address) > MAX_URL_CHARACTERS:
        return None
    resolved = resolve(address, base)
    return None if resolved is None or len(resolved) > MAX_URL_CHARACTERS or resolved == base else resolved


def base_address(tree: HtmlElement, page_url: str) -> str:
    """Return the address that others are relative to: the first <base href>, itself relative to the page.

    Empty when not even the page's address is one.
    """
    href = next((e.get("href") for e in tree.iter("base") if e.get("href")), "")
    page_url = page_url if is_valid(page_url) else ""
    return absolute(href, page_url) or page_url


def addresses(element: HtmlElement, base: str) -> Iterator[str]:
    """Yield the usable addresses of an image, the best first."""
    for address in _written(element):
        url = absolute(address, base)
        if url and not _stands_in(url):
            yield url


def is_image(address: str, media_type: str | None) -> bool:
    """Tell whether an embedded resource is an image that is read, by its declared type, or else by its address."""
    if media_type:
        return media_type.split(";")[0].strip().lower() in _READABLE
    return bool(_IMAGE_PATH.fullmatch(address.strip()))


def is_lazy(name: str) -> bool:
    """Tell whether an attribute may hold an address that a script moves to src: any that no standard defines."""
    return name not in _STANDARD and not _EXPRESSION.search(name)


def named_in_data(element: HtmlElement) -> tuple[list[str], list[str]]:
    """Return the addresses in lazy attributes: those to prefer to a src, and those to take without one."""
    ranked: list[tuple[int, str]] = []
    for name, value in element.items():
        value = value.strip()
        if not is_lazy(name) or name.endswith(("srcset", "src-set")) or _NO_ADDRESS.search(value):
            continue
        names_image = bool(_IMAGE_PATH.fullmatch(value))
        if not names_image and _NO_IMAGE.fullmatch(value):
            continue
        if _SOURCE.search(name) and (names_image or "/" in value):
            ranked.append((3 if _OTHER.search(name) else 0 if _WHOLE.search(name) else 1, value))
        elif names_image and "/" in value and not re.search(r"\s", value):
            known = _WHOLE.search(name) or _OF_IMAGE.search(name)
            ranked.append((3 if _OTHER.search(name) or not known else 0 if _WHOLE.search(name) else 2, value))
        elif _PLAIN_ADDRESS.fullmatch(value) and _OF_IMAGE_URL.search(name) and not _OTHER.search(name):
            ranked.append((3, value))
    ranked.sort(key=lambda r: r[0])
    return [v for rank, v in ranked if rank < 3], [v for rank, v in ranked if rank == 3]


def _written(element: HtmlElement) -> Iterator[str]:
    """Yield what the page gives as addresses: lazy srcsets, srcsets, lazy attributes, src, then anything else."""
    lazy: list[str] = []
    plain: list[str] = []
    for part in _sources(element):
        for name, value in part.items():
            if name.endswith(("srcset", "src-set")):
                (plain if name == "srcset" else lazy).append(value)
    for srcsets in (lazy, plain):
        yield from best(c for srcset in srcsets for c in candidates(srcset))
    preferred, others = named_in_data(element)
    yield from (*preferred, element.get("src") or "", *others)


def _sources(element: HtmlElement) -> list[HtmlElement]:
    """The element with the <source>s of its <picture> that we can read, those for narrow screens last."""
    picture = next(element.iterancestors("picture"), None)  # libxml2 nests <img> in <source>
    written = picture.iter("source") if picture is not None else ()
    sources = [s for s in written if (s.get("type") or "image/jpeg").split(";")[0].strip().lower() in _READABLE]
    narrow = [s for s in sources if _NARROW.search(s.get("media") or "")]
    return [*(s for s in sources if s not in narrow), element, *narrow]


def _stands_in(url: str) -> bool:
    name = parse(url).file_name
    stem, dot, extension = name.rpartition(".")
    words = set(re.split(r"[-_.~]|%20|(?<![0-9x])[0-9]+(?![0-9x])", stem))
    sure = words & (_STAND_INS if dot + extension in _DRAWN else _SURE_STAND_INS)
    return bool(dot and sure) and words <= _STAND_INS | _BESIDE_STAND_INS
