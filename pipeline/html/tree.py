"""Parse HTML to a rendered tree: charset, limited depth, shadow roots, formulas, invisible characters."""

import codecs
import re
from collections import Counter

import chardet
import lxml.html
import numpy as np
from lxml.etree import LxmlError, iterwalk
from lxml.html import HtmlElement
from resiliparse.parse.encoding import map_encoding_to_html5

_UNSEEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u00ad\u200b-\u200d\u2060-\u2064\ufeff]")
# U+200C and U+200D shape adjacent characters in Arabic, Indic and Mongolian scripts and in emoji. Between characters of
# Latin, Greek, Cyrillic or Armenian script, all below Hebrew, they have no effect.
_IDLE_JOINER = re.compile("(?<![\u0590-\U0010ffff])[\u200c\u200d]+(?![\u0590-\U0010ffff])")
_KEPT = "\u200c\u200d"
_WINDOWS_1252 = {n: bytes([n]).decode("cp1252", "ignore") for n in range(0x80, 0xA0)}
_REPLACED = {
    **dict.fromkeys((*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0xAD, 0x200B, *range(0x2060, 0x2065), 0xFEFF), ""),
    **_WINDOWS_1252,
}


def clean(text: str) -> str:
    """Remove soft hyphens, zero-width spaces, byte order marks, and control characters except white space.

    C1 controls become the windows-1252 characters of the same number, as for numeric references (HTML Living Standard,
    section 13.2.5.80). Joiners are kept where they shape letters or emoji.
    """
    if not _UNSEEN.search(text):
        return text
    text = text.translate(_REPLACED)
    return _IDLE_JOINER.sub("", text) if any(joiner in text for joiner in _KEPT) else text


PRESCAN_BYTES = 4096  # the standard's 1024 miss a declaration after a long <title> or comment
SAMPLE_BYTES = 20_000  # more costs 1 ms per 20 kB without changing the result

# UTF-32's mark begins like UTF-16's; no page in UTF-16 begins with U+0000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# supersets that the standard's decoders of these names use, under Python's names
_SUPERSETS = {
    "ascii": "cp1252", "big5": "big5hkscs", "euc_kr": "cp949", "gb2312": "gb18030", "gbk": "gb18030",
    "iso8859-1": "cp1252", "iso8859-11": "cp874", "shift_jis": "cp932", "shift_jis_2004": "cp932",
    "euc_jis_2004": "euc_jp", "tis-620": "cp874",
}  # fmt: skip
_TWO_BYTE = ("big5hkscs", "cp932", "cp949", "euc_jp", "gb18030")  # short texts in them can be valid UTF-8
MIN_SURE_CHARACTERS = 5
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_DECLARED = re.compile(
    rb"""<meta\s(?:(?!<meta\s)[^>])*?charset\s*+=\s*+["']?\s*+([^\s"'/>;]+)"""
    rb"""|\A\s*+<\?xml\s[^>]*?encoding\s*+=\s*+["']([^"']+)["']""",
    re.I,
)
_ERAS = chardet.EncodingEra.ALL & ~chardet.EncodingEra.MAINFRAME  # no page is in EBCDIC
_UNLIKELY = ("mac-roman", "mac-iceland", "mac-latin2", "mac-turkish")  # on the web; confused with windows-1252


def decode_html(body: bytes, charset: str | None) -> str:
    """Decode a page. Never raises: invalid bytes become U+FFFD.

    Args: charset of the HTTP header, or None; an unknown name is ignored.
    Source: HTML Living Standard, section 13.2.3.2 "Determining the character encoding"; but valid UTF-8 overrides
    headers and meta elements, see docs/decisions/0020-text-as-readers-see-it.md.
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    named = _known(charset) or _declared(body)
    # ISO-2022 and UTF-16 can be valid UTF-8: the former has escapes, the latter zeros
    if named != "utf-8" and (b"\x1b" in body or b"\x00" in body):
        return body.decode(named or _detect(body), "replace")
    text = body.decode("utf-8", "replace")
    if _is_utf8(text, named):
        return text
    return body.decode(_detect(body) if named in (None, "utf-8") else named, "replace")


def _known(name: str | None) -> str | None:
    """Return Python's name for a page's name of an encoding; None when it is unknown."""
    label = map_encoding_to_html5(name, fallback_utf8=False) if name else None
    return _SUPERSETS.get(label, label) if label else None


def _declared(body: bytes) -> str | None:
    found = _DECLARED.search(_COMMENT.sub(b"", body[:PRESCAN_BYTES]))
    name = _known((found[1] or found[2]).decode("ascii", "replace")) if found else None
    return "utf-8" if name and name.startswith("utf-16") else name  # in UTF-16 the element could not be read


def _is_utf8(text: str, named: str | None) -> bool:
    """Return whether a page is in UTF-8, by its text decoded as UTF-8 and by the encoding that it declares.

    Text in another encoding is only valid UTF-8 if it is very short, so valid bytes override a declaration (browsers
    do the opposite). A few invalid characters are allowed.
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
    """Return the text with bytes above 127, by which encodings differ."""
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


MAX_DEPTH = 512  # as in Blink and WebKit (kMaximumHTMLParserDOMTreeDepth)
_SUSPECT_DEPTH = 100  # estimated without elements whose end tags are optional, which can make it 4 times as deep
# Elements with optional end tags, by the first two letters of the name, for `_may_be_deep`
_ENDLESS = tuple(
    ord(a) | ord(b) << 16
    for a, b in ("p>", "p ", "li", "td", "th", "tr", "tb", "tf", "dt", "dd", "op", "br", "hr", "im", "in", "me", "wb",
                 "so", "em", "ar", "co", "pa")
)  # fmt: skip
_VOID = frozenset(("area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen",
                   "link", "meta", "param", "source", "track", "wbr"))  # fmt: skip
_RAW = frozenset(("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "plaintext"))
# An element of one of these names ends an enclosing element of the same set.
_NEIGHBOURS = (
    ("p",),
    ("li",),
    ("dt", "dd"),
    ("option", "optgroup"),
    ("td", "th"),
    ("tr",),
    ("tbody", "thead", "tfoot"),
)
_ENDED_BY = {name: frozenset(group) for group in _NEIGHBOURS for name in group}
_TOKEN = re.compile(
    r"<!--(?:.*?--!?>|.*)|<(?P<end>/?)(?P<name>[a-z][^\s/>]*+)(?:[^>=]++|=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z))?+)*+(?:>|\Z)",
    re.I | re.S,
)


def flatten(html: str) -> str:
    """Return markup whose elements nest at most MAX_DEPTH deep; unchanged if they already do.

    Removes the tags of a <template> at the maximum depth, whose content would otherwise follow it and appear in its
    host. An element without end tag stays open until an element of its group follows. Linear in the markup's length.
    """
    return _flattened(html) if _may_be_deep(html) else html


def _may_be_deep(html: str) -> bool:
    codes = np.frombuffer(html.encode("utf-16-le", "surrogatepass"), np.uint16)
    at = np.flatnonzero(codes[:-3] == ord("<")) + 1
    is_end = codes[at] == ord("/")
    first = codes[at + is_end].astype(np.uint32) | 0x20
    second = codes[at + 1 + is_end].astype(np.uint32)
    second = second | np.where(second >= ord("A"), 0x20, 0).astype(np.uint32)
    is_letter = (first >= ord("a")) & (first <= ord("z"))
    counts = is_letter & ~np.isin(first | second << 16, _ENDLESS)
    depth = np.cumsum(np.where(is_end, -1, 1) * counts)
    return bool(len(depth)) and int((depth - np.minimum.accumulate(depth)).max()) > _SUSPECT_DEPTH


def _flattened(html: str) -> str:
    """Rewrite the tags; `around` names the open elements, `end_open` ends the one open at MAX_DEPTH."""
    pieces: list[str] = []
    around: list[str] = []
    num_open: Counter[str] = Counter()
    end_open = ""
    done = begin = 0
    while token := _TOKEN.search(html, begin):
        pieces.append(html[done : token.start()])
        done = begin = token.end()
        slash, name = token.groups("")
        name = name.lower()
        if not name or name in _VOID or (slash and not num_open[name]):
            pieces.append(token[0])
        elif slash:
            last = ""
            while last != name:
                last = around.pop()
                num_open[last] -= 1
            is_kept = len(around) < MAX_DEPTH and not _is_left_out(name, len(around))
            pieces.append(token[0] if is_kept else end_open)
            end_open = ""
        else:
            if around and around[-1] in _ENDED_BY.get(name, ()):
                num_open[around.pop()] -= 1
            tag, end_tag = ("", "") if _is_left_out(name, len(around)) else (token[0], f"</{name}>")
            if len(around) >= MAX_DEPTH:
                pieces.append(end_open)
                end_open = end_tag
            pieces.append(tag)
            if name in _RAW:
                begin = _raw_end(html, name, done)
            around.append(name)
            num_open[name] += 1
    pieces.append(html[done:])
    return "".join(pieces)


def _raw_end(html: str, name: str, begin: int) -> int:
    """Return the end of the content of a text-only element."""
    end = re.compile(rf"</{name}(?=[\s/>])", re.I).search(html, begin)
    return end.start() if end and name != "plaintext" else len(html)


def _is_left_out(name: str, num_around: int) -> bool:
    return name == "template" and num_around >= MAX_DEPTH - 1


def parse_fragment(html: str) -> HtmlElement:
    """Parse markup in a page's text into a <div>. Raises: LxmlError, ValueError from lxml."""
    return lxml.html.fragment_fromstring(flatten(html), create_parent="div", parser=deep_parser())


def deep_parser() -> lxml.html.HTMLParser:
    """Return a parser for 2,048 levels; by default libxml2 stops reading after 256."""
    return lxml.html.HTMLParser(huge_tree=True)


MAX_NESTED_ROOTS = 64  # enclosing shadow roots; pages of web components nest about a dozen

# Elements that may be a shadow host, besides custom ones (DOM Living Standard, "valid shadow host name")
_HOSTS = frozenset(("article", "aside", "blockquote", "body", "div", "footer", "h1", "h2", "h3", "h4", "h5", "h6",
                    "header", "main", "nav", "p", "section", "span"))  # fmt: skip
_DISPLAY_STYLE = re.compile(r"\{\\displaystyle\s*(.*)\}", re.S)
_TEX_WRAPPER = re.compile(r"^\s*+%?\s*+<!\[CDATA\[|(?:%|(?<!\s))\s*+\]\]>\s*+$")
_RENDERED = re.compile(r"^(?:MathJax|MJX|mjx)", re.I)
# Linear forms of MathML elements, by name and number of parts
_FORMS = {
    ("mfrac", 2): "{}/{}",
    ("msup", 2): "{}^{}", ("mover", 2): "{}^{}",
    ("msub", 2): "{}_{}", ("munder", 2): "{}_{}",
    ("msubsup", 3): "{}_{}^{}", ("munderover", 3): "{}_{}^{}",
}  # fmt: skip
_INFIX = frozenset("=+-−±×·∗*<>≤≥≠≈≡∼→⇒∈∪∩∧∨,;:|")


def render(tree: HtmlElement) -> None:
    """Change the tree so that its text is the rendered text."""
    _attach_shadow_roots(tree)
    _put_readings_in_brackets(tree)
    for element in list(tree.iter("script", "math", "iframe")):
        if element.tag == "script":
            _show_tex(element)
        elif element.tag == "math":
            _show_formula(element)
        elif element.get("srcdoc"):
            _show_document(element)


def _attach_shadow_roots(tree: HtmlElement) -> None:
    """Attach declared shadow roots to their hosts (HTML Living Standard, section 4.12.3), the outermost first.

    A root inside MAX_NESTED_ROOTS others remains in place next to its host's content: moving elements repeatedly would
    take too long.
    """
    roots: dict[HtmlElement, HtmlElement] = {}
    for template in tree.iter("template"):
        host = template.getparent()
        if _is_shadow_root(template) and host is not None:
            roots.setdefault(host, template)  # a host has one root, the first
    if not roots:
        return
    slots: dict[HtmlElement | None, list[HtmlElement]] = {}
    for slot in tree.iter("slot"):
        slots.setdefault(next(slot.iterancestors("template"), None), []).append(slot)
    num_open = 0
    attached: list[HtmlElement] = []
    for event, element in iterwalk(tree, events=("start", "end")):
        if element not in roots:
            continue
        if event == "end":
            num_open -= 1
            continue
        if num_open < MAX_NESTED_ROOTS:
            attached.append(element)
        else:
            roots[element].tag = "span"
        num_open += 1
    for host in attached:
        _attach_shadow_root(host, roots[host], slots.get(roots[host], []))


def _is_shadow_root(template: HtmlElement) -> bool:
    host = template.getparent()
    is_host = host is not None and (host.tag in _HOSTS or "-" in str(host.tag))
    return is_host and (template.get("shadowrootmode") or "").lower() in ("open", "closed")


def _attach_shadow_root(host: HtmlElement, template: HtmlElement, slots: list[HtmlElement]) -> None:
    """Replace a host's children by its shadow root, whose slots receive them."""
    text, slotted = _take_content(host, template)
    for slot in slots:
        name = slot.get("name") or ""
        children = slotted.pop(name, [])
        slot.tag = "span"
        if children or (not name and text):
            del slot[:]
            slot.text, text = (text, "") if not name else (None, text)
            slot.extend(children)
    host.text = template.text
    host.extend(list(template))


def _take_content(host: HtmlElement, template: HtmlElement) -> tuple[str, dict[str, list[HtmlElement]]]:
    """Empty a host; return its text, and its children except the template by slot name."""
    texts = [text.strip() for text in (host.text, *(child.tail for child in host)) if text]
    children = [child for child in host if child is not template]
    del host[:]
    slotted: dict[str, list[HtmlElement]] = {}
    for child in children:
        child.tail = None
        slotted.setdefault(child.get("slot") or "" if isinstance(child.tag, str) else "", []).append(child)
    return " ".join(filter(None, texts)), slotted


def _show_tex(script: HtmlElement) -> None:
    """Replace MathJax's script by its source, and drop formulas that MathJax had rendered from it."""
    kind = (script.get("type") or "").lower()
    if not kind.startswith(("math/tex", "math/asciimath")):
        return
    before = script.getprevious()
    while before is not None and not (before.tail or "").strip() and _RENDERED.match(before.get("class") or ""):
        before.drop_tree()
        before = script.getprevious()
    _replace(script, _TEX_WRAPPER.sub("", script.text or ""), "display" in kind)


def _show_formula(math: HtmlElement) -> None:
    """Replace MathML by its TeX source, or else by linear text, and drop rendered copies."""
    around = math.getparent()
    if around is None or next(math.iterancestors("math"), None) is not None:  # inside another formula
        return
    text = _tex(math) or math.get("alttext") or _linear(math)
    _drop_rendered(around)
    shown = _DISPLAY_STYLE.fullmatch(text.strip())
    _replace(math, shown[1] if shown else text, math.get("display") == "block")


def _tex(math: HtmlElement) -> str | None:
    notes = (a for a in math.iter("annotation") if "tex" in (a.get("encoding") or "").lower())
    return next((note.text for note in notes), None)


def _drop_rendered(around: HtmlElement) -> None:
    """Drop the copies that KaTeX or MathJax rendered next to MathML for screen readers."""
    if "katex-mathml" in (around.get("class") or ""):
        while (sibling := around.getnext()) is not None and "katex-html" in (sibling.get("class") or ""):
            sibling.drop_tree()
    if "assistive" in (around.get("class") or str(around.tag)).lower():
        for sibling in list(around.itersiblings(preceding=True)):
            sibling.drop_tree()


def _replace(element: HtmlElement, text: str, is_display: bool) -> None:
    text = " ".join(text.split())
    element.clear(keep_tail=True)
    element.tag = "span"
    element.text = f" {text} " if is_display else text


def _linear(math: HtmlElement) -> str:
    """Format MathML as one line: x^2, a_i, (a + b)/c, √(x). Spaces separate operators and names."""
    texts: dict[HtmlElement, str] = {}
    for element in reversed(list(math.iter())):  # children before parents
        parts = [part for child in element if (part := texts.pop(child, ""))]
        texts[element] = _linear_element(element, parts)
    return texts[math]


def _linear_element(element: HtmlElement, parts: list[str]) -> str:
    """Format an element of MathML, given the texts of its children."""
    if not isinstance(element.tag, str) or element.tag in ("annotation", "annotation-xml", "mphantom"):
        return ""
    tag = element.tag.rsplit(":", 1)[-1]
    if tag in ("mi", "mn", "mo", "mtext", "ms"):
        return " ".join("".join(element.itertext()).split())
    if form := _FORMS.get((tag, len(parts))):
        return form.format(*map(_bracketed, parts))
    if tag == "msqrt":
        return f"√({_joined(parts)})"
    if tag == "mroot" and len(parts) == 2:
        return f"root({parts[0]}, {parts[1]})"
    if tag in ("mtr", "mtable"):
        return ("; " if tag == "mtable" else ", ").join(parts)
    return _joined(parts)


def _joined(parts: list[str]) -> str:
    text = ""
    for part in parts:
        names_meet = text[-1:].isalpha() and part[:1].isalpha() and (len(part) > 1 or text[-2:].isalpha())
        if part in _INFIX and text:
            text += f" {part} " if part not in ",;" else f"{part} "
        else:
            text += f" {part}" if names_meet else part
    return text.strip()


def _bracketed(text: str) -> str:
    return text if len(text) <= 1 or text.isalnum() else f"({text})"


def _put_readings_in_brackets(tree: HtmlElement) -> None:
    """Put ruby readings in brackets after their words, as <rp> does if the page has it."""
    with_brackets = {ruby for rp in tree.iter("rp") for ruby in rp.iterancestors("ruby")}
    for rt in tree.iter("rt"):
        ruby = next(rt.iterancestors("ruby"), None)
        if ruby is None or ruby in with_brackets:
            continue
        rt.text = f"({rt.text or ''}"
        if len(rt):
            rt[-1].tail = f"{rt[-1].tail or ''})"
        else:
            rt.text += ")"


def _show_document(frame: HtmlElement) -> None:
    """Replace an <iframe srcdoc> by its document."""
    try:
        document = parse_fragment(frame.get("srcdoc"))
    except (LxmlError, ValueError):
        return
    parent = frame.getparent()
    if parent is not None:
        document.tail, frame.tail = frame.tail, None
        parent.replace(frame, document)


_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


class NotParseable(Exception):
    """No tree could be built from the bytes."""


def parse(body: bytes, charset: str | None) -> lxml.html.HtmlElement:
    """Decode a page and parse it to a rendered tree.

    Args: body, without transfer and content encodings; charset of the HTTP header, or None.
    Raises: NotParseable when there is no content for a tree.
    """
    text = decode_html(body, charset).replace("\x00", "").replace("\r\n", "\n")
    html = flatten(_XML_DECLARATION.sub("", text))
    try:
        tree = lxml.html.document_fromstring(html, parser=deep_parser())
        render(tree)
        return tree
    except (lxml.etree.ParserError, lxml.etree.ParseError, ValueError) as error:
        raise NotParseable(str(error)) from error
