"""The images of a page: their URLs, declared sizes and texts."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

import lxml.html
from lxml.etree import LxmlError
from lxml.html import HtmlElement

from pipeline.html.tree import clean, parse_fragment
from pipeline.url import is_valid, parse, resolve

MAX_WIDTH_PIXELS = 2_048  # the widest candidate up to this width is preferred: originals can have any size
MAX_DENSITY = 3.0
_SPACE = " \t\n\f\r"  # the standard's ASCII white space, unlike Python's
_START = re.compile(rf"[{_SPACE},]*([^{_SPACE}]+)")
_DESCRIPTORS = re.compile(r"[^,(]*(?:\([^)]*\)?[^,(]*)*")  # up to the next comma outside brackets
_WIDTH = re.compile(r"0*([1-9][0-9]{0,8})w")
_HEIGHT = re.compile(r"0*[1-9][0-9]{0,8}h")
_DENSITY = re.compile(r"((?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)x")
_VALID = {(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 0, 1)}  # valid numbers of widths, densities and heights in a candidate


@dataclass(frozen=True)
class Candidate:
    """A URL in a srcset, with its width [pixels] or else its density."""

    address: str
    width: int | None
    density: float


def candidates(srcset: str) -> Iterator[Candidate]:
    """Yield the candidates of a srcset in order; candidates with invalid descriptors are skipped.

    Source: HTML standard, "parsing a srcset attribute". A URL may contain commas but not end with one.
    """
    at = 0
    while start := _START.match(srcset, at):
        address, at = start[1], start.end()
        descriptors = ""
        if not address.endswith(","):
            found = _DESCRIPTORS.match(srcset, at)
            assert found is not None, "it matches any string"
            descriptors, at = found[0], found.end()
        candidate = _candidate(address.rstrip(","), descriptors.split())
        if candidate is not None:
            yield candidate


def best(choices: Iterable[Candidate]) -> list[str]:
    """Return the URLs, best first: widths before densities, the largest up to the limit before larger ones.

    The sort is stable.
    """
    return [choice.address for choice in sorted(choices, key=_rank)]


def _rank(candidate: Candidate) -> tuple[bool, bool, float]:
    value, bound = (candidate.density, MAX_DENSITY) if candidate.width is None else (candidate.width, MAX_WIDTH_PIXELS)
    above = value > bound
    return candidate.width is None, above, value if above else -value


def _candidate(address: str, descriptors: list[str]) -> Candidate | None:
    """Parse the descriptors: none, a density, or a width with optional height; None when they are invalid."""
    if not address:
        return None
    widths = [int(m[1]) for d in descriptors if (m := _WIDTH.fullmatch(d))]
    densities = [float(m[1]) for d in descriptors if (m := _DENSITY.fullmatch(d))]
    heights = [d for d in descriptors if _HEIGHT.fullmatch(d)]
    found = len(widths), len(densities), len(heights)
    if sum(found) != len(descriptors) or found not in _VALID:
        return None
    return Candidate(address, widths[0] if widths else None, densities[0] if densities else 1.0)


MAX_URL_CHARACTERS = 2_000
_READABLE = {f"image/{name}" for name in ("avif", "bmp", "gif", "jpeg", "jpg", "pjpeg", "png", "tiff", "webp")}
_IMAGE_PATH = re.compile(r"[^?#]*\.(?:avif|bmp|gif|jfif|jpe?g|png|tiff?|webp)(?:[?#].*)?", re.I | re.S)
_NO_ADDRESS = re.compile(r"[{<\"]")  # JSON, markup, or a template for a script
_NARROW = re.compile(r"max-width|print|dark", re.I)  # <source media> that a desktop browser does not select by default
_NO_IMAGE = re.compile(
    r"[^?#]*\.(?:mp4|m4v|webm|mov|ogv|avi|m3u8|mpd|mp3|m4a|ogg|wav|html?|php\d?|aspx?|jsp|json|xml|js|css|pdf|zip|vtt)",
    re.I,
)
# Current and obsolete attributes of <img> in the HTML standard, and those of amp-img and RDFa.
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
_EXPRESSION = re.compile(r"^(?:[:@\[(]|v-|x-|on|aria-)|^data-(?:bind|on-)")  # bindings and event handlers of scripts
# Names of lazy attributes: of the full image, of any image, and of another or a smaller image.
_SOURCE = re.compile(r"src$|^data-(?:original|lazy|lazy-?load|echo)$|^(?:original|loadlate|lazyload|real|orig|_src)$")
_FULL = re.compile(r"full|large|big|orig|hi-?res|high|zoom|max|retina|2x|\bhd\b")
_OF_IMAGE = re.compile(r"src|url|ima?ge?|lazy|load|delay|defer|file|photo|picture|media")
_PLAIN_ADDRESS = re.compile(r"(?:https?:)?//[^/\s]+/[^\s]*[^/\s]", re.I)
_OF_IMAGE_URL = re.compile(r"(?:ima?ge?|photo|picture|src|base|lazy|media)[-_]?ur[il]$")
_OTHER = re.compile(
    r"placeholder|low|small|thumb|tiny|mini|medium|blur|preview|poster|video|audio|iframe|fallback|error|default"
    r"|hover|mouse|roll|second|anim|next|prev|background|\bbg|avatar|icon|logo|\bpin|facebook|twitter|share|title|caption"
    r"|alt\b|href|link|page|track|beacon|(?<!lazy)(?<!lazy-)loading|preloader|spinner|blank|dummy|broken|missing"
    r"|no-?(?:image|img|photo|pic)|not-?found|unavailable|mobile|tablet"
)
_LAST = 3  # the rank of a lazy attribute that is only used without src
# Names of placeholder images: every word of the file name must be one of these.
_PLACEHOLDERS = {"placeholder", "spacer", "blank", "transparent", "trans", "pixel", "lazy", "lazyload", "loading",
              "loader", "preloader", "spinner", "cleardot", "1x1", "empty", "grey", "gray", "none", "null", "dot",
              "clear", "space"}  # fmt: skip
_SURE_PLACEHOLDERS = {"placeholder", "spacer", "blank", "transparent", "1x1", "cleardot"}  # also of photo formats
_BESIDE_PLACEHOLDERS = {"", "image", "img", "ajax", "white", "black", "bg", "horizontal",
                     "vertical", "square", "small", "big", "large", "default", "icon", "gif"}  # fmt: skip
_DRAWN = (".gif", ".png", ".svg")


def absolute(address: str, base: str) -> str | None:
    """Resolve a URL as browsers do (the WHATWG URL standard), without fragment and credentials.

    None unless it is a valid http(s) URL of at most MAX_URL_CHARACTERS and differs from the base.
    """
    if len(address) > MAX_URL_CHARACTERS:
        return None
    resolved = resolve(address, base)
    return None if resolved is None or len(resolved) > MAX_URL_CHARACTERS or resolved == base else resolved


def base_address(tree: HtmlElement, page_url: str) -> str:
    """Return the base URL: the first <base href>, relative to the page, else the page's URL; '' if that is invalid."""
    href = next((e.get("href") for e in tree.iter("base") if e.get("href")), "")
    page_url = page_url if is_valid(page_url) else ""
    return absolute(href, page_url) or page_url


def addresses(element: HtmlElement, base: str) -> Iterator[str]:
    """Yield the valid URLs of an image, best first, without placeholders."""
    for address in _written(element):
        url = absolute(address, base)
        if url and not _is_placeholder(url):
            yield url


def is_image(address: str, media_type: str | None) -> bool:
    """Return whether an embedded resource is an image in a supported format, by its declared type or else its URL."""
    if media_type:
        return media_type.split(";")[0].strip().lower() in _READABLE
    return bool(_IMAGE_PATH.fullmatch(address.strip()))


def is_lazy(name: str) -> bool:
    """Return whether an attribute may hold a URL that a script moves to src: any non-standard attribute."""
    return name not in _STANDARD and not _EXPRESSION.search(name)


def named_in_data(element: HtmlElement) -> tuple[list[str], list[str]]:
    """Return the URLs in lazy attributes: those preferred to src, and those used only without src."""
    ranked: list[tuple[int, str]] = []
    for name, value in element.items():
        if is_lazy(name) and not name.endswith(("srcset", "src-set")) and not _NO_ADDRESS.search(value):
            value = value.strip()
            if (rank := _rank_lazy(name, value)) is not None:
                ranked.append((rank, value))
    ranked.sort(key=lambda r: r[0])
    return [v for rank, v in ranked if rank < _LAST], [v for rank, v in ranked if rank == _LAST]


def _rank_lazy(name: str, value: str) -> int | None:
    """Rank the URL in a lazy attribute, 0 for best, _LAST if used only without src; None when it is not an image."""
    names_image, has_path = bool(_IMAGE_PATH.fullmatch(value)), "/" in value
    if not names_image and _NO_IMAGE.fullmatch(value):
        return None
    if _SOURCE.search(name) and (names_image or has_path):
        return _rank_name(name, 1)
    if names_image and has_path and not re.search(r"\s", value):
        return _rank_name(name, 2 if _OF_IMAGE.search(name) else _LAST)
    if _PLAIN_ADDRESS.fullmatch(value) and _OF_IMAGE_URL.search(name) and not _OTHER.search(name):
        return _LAST
    return None


def _rank_name(name: str, default: int) -> int:
    return _LAST if _OTHER.search(name) else 0 if _FULL.search(name) else default


def _written(element: HtmlElement) -> Iterator[str]:
    """Yield an image's URLs as written: lazy srcsets, srcsets, lazy attributes, src, then other lazy attributes."""
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
    """Return the element with the supported <source>s of its <picture>, those for narrow screens last."""
    picture = next(element.iterancestors("picture"), None)  # libxml2 nests <img> in <source>
    written = picture.iter("source") if picture is not None else ()
    sources = [s for s in written if (s.get("type") or "image/jpeg").split(";")[0].strip().lower() in _READABLE]
    narrow = [s for s in sources if _NARROW.search(s.get("media") or "")]
    return [*(s for s in sources if s not in narrow), element, *narrow]


def _is_placeholder(url: str) -> bool:
    name = parse(url).file_name
    stem, dot, extension = name.rpartition(".")
    words = set(re.split(r"[-_.~]|%20|(?<![0-9x])[0-9]+(?![0-9x])", stem))
    sure = words & (_PLACEHOLDERS if dot + extension in _DRAWN else _SURE_PLACEHOLDERS)
    return bool(dot and sure) and words <= _PLACEHOLDERS | _BESIDE_PLACEHOLDERS


IMAGES = ("img", "amp-img")
_PIXELS = re.compile(r"\s*([0-9]{1,5})(?:\.[0-9]*)?(?:px)?\s*", re.I)
_MAX_WRAPPERS = 3  # <a>, <picture> or <div> around an image that its caption may follow


def declared_pixels(element: HtmlElement) -> tuple[int | None, int | None]:
    """Return the declared width and height [pixels], by attribute or else by style; None if unknown."""
    if element.get("layout") == "responsive":  # of amp-img: a ratio, not pixels
        return None, None
    width, height = _side(element, "width"), _side(element, "height")
    # a zero with a real size is a template's value for "unknown"
    return (None if width == 0 and (height or 0) > 1 else width), (None if height == 0 and (width or 0) > 1 else height)


def is_pixel(element: HtmlElement) -> bool:
    """Return whether the image is a tracking pixel by its declared size."""
    return any(side is not None and side <= 1 for side in declared_pixels(element))


def fold(text: str | None) -> str:
    """Return the text without invisible characters and with normalized white space."""
    return " ".join(clean(text or "").split())


def caption_beside(element: HtmlElement) -> str:
    """Return the figcaption of the image's figure, else a following element of class *caption*; '' without either."""
    figure = next(element.iterancestors("figure"), None)
    if figure is not None:
        for caption in figure.iter("figcaption"):
            if next(caption.iterancestors("figure"), None) is figure:  # not one of a nested figure
                return _text_of(caption)
    return next((text for sibling in _captions_after(element) if (text := _text_of(sibling))), "")


def _captions_after(element: HtmlElement) -> Iterator[HtmlElement]:
    """Yield elements of class *caption* that follow the image, or its wrappers, before any other image."""
    node = element
    for _ in range(_MAX_WRAPPERS):
        for sibling in node.itersiblings():
            if sibling.tag in IMAGES or next(sibling.iter(*IMAGES), None) is not None:
                return
            if "caption" in (sibling.get("class") or "").lower():
                yield sibling
        parent = node.getparent()
        if parent is None or parent.tag in ("body", "figure") or _holds_more(parent):
            return
        node = parent


def _holds_more(wrapper: HtmlElement) -> bool:
    return len(list(wrapper.iter(*IMAGES))) > 1 or any(text.strip() for text in wrapper.itertext())


def _text_of(element: HtmlElement) -> str:
    return fold("".join(element.xpath(".//text()[not(ancestor::script or ancestor::style)]")))


def _side(element: HtmlElement, side: str) -> int | None:
    style = element.get("style") or ""
    styled = re.search(rf"(?:^|;)\s*{side}\s*:([^;]*)", style, re.I)
    if f"min-{side}" in style.lower():  # width:0;min-width:100% fills its frame
        styled = None
    for value in (element.get(side), styled[1] if styled else None):
        if found := _PIXELS.fullmatch(value or ""):
            return int(found[1])
    return None


_BACKGROUND = re.compile(r"background(?:-image)?\s*:[^;{}]{0,80}?\burl\(\s*([\"']?)([^\"'()\s]+)\1\s*\)", re.I)
_EXTENSIONS = re.compile(r"(?:\.(?:avif|gif|jpe?g|png|webp))+$")
_SIZE_IN_NAME = re.compile(r"-([0-9]+)x[0-9]+$|[-_]([0-9]{2,5})[wx]$|@[0-9.]+x$|-scaled$")
_SIZE_IN_QUERY = re.compile(r"w|h|q|wid|hei|im_?width|im_?height|width|height|quality|quality_?\w+|size|resize|fit|crop"
                            r"|dpr|auto|fm|format|strip|ssl")  # fmt: skip


def reveal(tree: HtmlElement, base: str) -> None:
    """Insert hidden images where they are rendered, and merge lazy images with their copies in <noscript>."""
    for noscript in list(tree.iter("noscript")):
        if next(noscript.iter("img"), None) is None:
            _parse_text(noscript)
        hidden = [image for image in noscript.iter("img") if not is_pixel(image)]
        if len(hidden) == 1 and (twin := _twin(noscript, hidden[0], base)) is not None:
            _merge(hidden[0], twin, base)
        if next(noscript.iter("img"), None) is not None:
            noscript.drop_tag()
    for element in list(tree.iter("object", "embed", "video")):
        _image_of_embedded(element)
    for element in list(tree.iterfind(".//*[@role='img']")):
        _image_of_style(element)
    for figure in tree.iter("figure"):
        if next(figure.iter(*IMAGES, "video", "iframe"), None) is None:
            _image_of_figure(figure)


def _parse_text(noscript: HtmlElement) -> None:
    """Parse the images in a <noscript> whose content is escaped."""
    text = noscript.text or ""
    if "<img" not in text.lower():
        return
    try:
        fragment = parse_fragment(text)
    except (LxmlError, ValueError):
        return
    noscript.text = None
    for image in list(fragment.iter("img")):
        image.tail = None
        noscript.append(image)


def _twin(noscript: HtmlElement, hidden: HtmlElement, base: str) -> HtmlElement | None:
    """Find the lazy image that a <noscript> replaces: directly before, after or around it."""
    parent = noscript.getparent()
    if parent is not None and parent.tag == "amp-img":
        return parent
    previous, following = noscript.getprevious(), noscript.getnext()
    lazy = []
    if previous is not None and not (previous.tail or "").strip():
        lazy += _only_image(previous)
    if following is not None and not (noscript.tail or "").strip():
        lazy += _only_image(following)
    own = _identity(next(addresses(hidden, base), None))
    identities = [_identity(next(addresses(image, base), None)) for image in lazy]
    for identity in (own, None):  # the same image, or else one without URL
        if identity in identities:
            return lazy[identities.index(identity)]
    return None


def _only_image(element: HtmlElement) -> list[HtmlElement]:
    images = list(element.iter("img"))
    return images if len(images) == 1 and next(element.iterchildren("noscript"), None) is None else []


def _merge(hidden: HtmlElement, twin: HtmlElement, base: str) -> None:
    """Set the better URL of the two on the lazy image, and texts and sizes that only the hidden one has."""
    found = [url for image in (twin, hidden) if (url := next(addresses(image, base), None))]
    for name in ("alt", "title", "width", "height"):
        if not twin.get(name) and hidden.get(name):
            twin.set(name, hidden.get(name))
    for name in list(twin.attrib):
        if is_lazy(name) or name in ("src", "srcset"):
            del twin.attrib[name]
    if found:
        twin.set("data-src", max(found, key=_stated_width))  # preferred to the <source>s of a <picture>
    hidden.drop_tree()


def _identity(url: str | None) -> tuple[str, ...] | None:
    """Return a key for URLs of the same image: file name and query without sizes and formats."""
    if url is None:
        return None
    parts = parse(url)
    name = _EXTENSIONS.sub("", unquote(parts.path).rsplit("/", 1)[-1].lower())
    stem = _SIZE_IN_NAME.sub("", name)
    query = (f"{k}={v}" for k, v in parse_qsl(parts.query) if not _SIZE_IN_QUERY.fullmatch(k.lower()))
    return (stem or parts.path, *sorted(query))


def _stated_width(url: str) -> float:
    """Return the width in a URL; infinity without one, which means the original."""
    parts = parse(url)
    in_name = _SIZE_IN_NAME.search(_EXTENSIONS.sub("", parts.path.lower()))
    stated = [in_name[1] or in_name[2]] if in_name else []
    stated += [v for k, v in parse_qsl(parts.query) if k.lower() in ("w", "wid", "width", "imwidth", "resize", "fit")]
    widths = [int(found[0]) for value in stated if (found := re.match("[0-9]{1,6}", value or ""))]
    return min(widths, default=math.inf)


def _image_of_embedded(element: HtmlElement) -> None:
    """Replace an <object> or <embed> of an image by an <img>, and insert one with the poster before a <video>."""
    address = element.get({"object": "data", "embed": "src", "video": "poster"}[element.tag]) or ""
    if element.tag != "video" and not is_image(address, element.get("type")):
        return
    if not address.strip() or element.getparent() is None:
        return
    image = lxml.html.Element("img", src=address)
    for name in ("title", "width", "height"):
        if element.get(name):
            image.set(name, element.get(name))
    image.set("alt", element.get("aria-label") or "")
    element.addprevious(image)
    if element.tag != "video":
        element.drop_tree()


def _image_of_style(element: HtmlElement) -> None:
    """Insert the background image of an element with role="img" as an <img>."""
    found = _BACKGROUND.search(element.get("style") or "")
    if found and next(element.iter(*IMAGES, "svg"), None) is None:
        image = lxml.html.Element("img", src=found[2], alt=element.get("aria-label") or "")
        element.insert(0, image)
        image.tail, element.text = element.text, None


def _image_of_figure(figure: HtmlElement) -> None:
    """Insert an <img> into a figure that has its image only in attributes, for a script."""
    named = [figure.get("itemid") or ""] if (figure.get("itemtype") or "").endswith("/ImageObject") else []
    for address in (*named, *named_in_data(figure)[0]):
        if address:
            image = lxml.html.Element("img", src=address)
            figure.insert(0, image)
            image.tail, figure.text = figure.text, None
            return


_PLACEHOLDER = re.compile(r"weft-image-(\d+)\.jpg$")


@dataclass(frozen=True)
class Image:
    url: str
    alt: str
    title: str
    caption: str
    width: int | None
    height: int | None


def mark_images(tree: HtmlElement, page_url: str) -> list[Image]:
    """Return the page's images in reading order, and mark each in the tree with a placeholder that holds its index.

    Changes the tree: inserts hidden images where they are rendered, removes other attributes of <img>, and removes
    each <img> that is invisible or has no valid URL.
    """
    base = base_address(tree, page_url)
    reveal(tree, base)
    images: list[Image] = []
    for element in list(tree.iter(*IMAGES)):
        url = None if is_pixel(element) else next(addresses(element, base), None)
        if url is None:
            if element.getparent() is not None:
                element.drop_tree() if element.tag == "img" else element.drop_tag()  # an open <amp-img> holds the rest
            continue
        alt, title = fold(element.get("alt")), fold(element.get("title"))
        images.append(Image(url, alt, title, caption_beside(element), *declared_pixels(element)))
        element.tag = "img"
        element.attrib.clear()
        element.set("src", f"weft-image-{len(images) - 1}.jpg")
    return images


def marked(src: str | None) -> int | None:
    """Return the index in a placeholder; None for any other URL."""
    found = _PLACEHOLDER.search(src or "")
    return int(found[1]) if found else None
