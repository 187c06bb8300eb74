"""Bytes of HTML to the tree that a browser shows: charset, bounded depth, shadow roots, formulas, unseen characters."""

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
# U+200C and U+200D shape what is beside them in Arabic, Indic and Mongolian scripts and in emoji. Between characters
# of Latin, Greek, Cyrillic or Armenian script, all below Hebrew, they do nothing.
_IDLE_JOINER = re.compile("(?<![\u0590-\U0010ffff])[\u200c\u200d]+(?![\u0590-\U0010ffff])")
_KEPT = "\u200c\u200d"
_WINDOWS_1252 = {n: bytes([n]).decode("cp1252", "ignore") for n in range(0x80, 0xA0)}
_REPLACED = {
    **dict.fromkeys((*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0xAD, 0x200B, *range(0x2060, 0x2065), 0xFEFF), ""),
    **_WINDOWS_1252,
}


def clean(text: str) -> str:
    """Take out soft hyphens, spaces of no width, byte order marks and controls but for white space.

    A C1 control stands for the windows-1252 character of its number, as numeric references do (HTML Living Standard,
    section 13.2.5.80): it is what pages mean by them. Joiners stay where they shape letters or emoji.
    """
    if not _UNSEEN.search(text):
        return text
    text = text.translate(_REPLACED)
    return _IDLE_JOINER.sub("", text) if any(joiner in text for joiner in _KEPT) else text


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


MAX_DEPTH = 512  # of Blink and WebKit (kMaximumHTMLParserDOMTreeDepth)
_SUSPECT_DEPTH = 100  # counted roughly, without elements whose end tags are optional: these make it 4 times as much
# What ends without a tag of its own, by the first two letters of the name, as `_may_be_deep` sees it
_ENDLESS = tuple(
    ord(a) | ord(b) << 16
    for a, b in ("p>", "p ", "li", "td", "th", "tr", "tb", "tf", "dt", "dd", "op", "br", "hr", "im", "in", "me", "wb",
                 "so", "em", "ar", "co", "pa")
)  # fmt: skip
_VOID = frozenset(("area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen",
                   "link", "meta", "param", "source", "track", "wbr"))  # fmt: skip
_RAW = frozenset(("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "plaintext"))
# An element of one of these names ends one right around it that is in the same set.
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
    """Return markup whose elements nest at most MAX_DEPTH deep; the same string when they do already.

    The tags of a <template> that could hold no element are left out: what is in it would follow it, and be taken for
    what its host holds beside it. Linear in the markup's length. End tags that are left out are counted as if the
    element went on, unless its like follows.
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
    """Rewrite the tags: `around` names the open elements, `shut` ends the one that stands below MAX_DEPTH."""
    pieces: list[str] = []
    around: list[str] = []
    num_open: Counter[str] = Counter()
    shut = ""
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
            pieces.append(token[0] if is_kept else shut)
            shut = ""
        else:
            if around and around[-1] in _ENDED_BY.get(name, ()):
                num_open[around.pop()] -= 1
            tag, end_tag = ("", "") if _is_left_out(name, len(around)) else (token[0], f"</{name}>")
            if len(around) >= MAX_DEPTH:
                pieces.append(shut)
                shut = end_tag
            pieces.append(tag)
            if name in _RAW:
                begin = _raw_end(html, name, done)
            around.append(name)
            num_open[name] += 1
    pieces.append(html[done:])
    return "".join(pieces)


def _raw_end(html: str, name: str, begin: int) -> int:
    """Return where the content of an element that holds text alone ends."""
    end = re.compile(rf"</{name}(?=[\s/>])", re.I).search(html, begin)
    return end.start() if end and name != "plaintext" else len(html)


def _is_left_out(name: str, num_around: int) -> bool:
    return name == "template" and num_around >= MAX_DEPTH - 1


def parse_fragment(html: str) -> HtmlElement:
    """Parse markup that a page holds as text, into a <div>. Raises: LxmlError, ValueError as lxml does."""
    return lxml.html.fragment_fromstring(flatten(html), create_parent="div", parser=deep_parser())


def deep_parser() -> lxml.html.HTMLParser:
    """Return a parser that reads 2,048 levels; by itself libxml2 reads 256, and nothing of what follows."""
    return lxml.html.HTMLParser(huge_tree=True)


MAX_NESTED_ROOTS = 64  # around another; pages of web components nest a dozen

# Elements that may be a shadow host, beside custom ones (DOM Living Standard, "valid shadow host name")
_HOSTS = frozenset(("article", "aside", "blockquote", "body", "div", "footer", "h1", "h2", "h3", "h4", "h5", "h6",
                    "header", "main", "nav", "p", "section", "span"))  # fmt: skip
_DISPLAY_STYLE = re.compile(r"\{\\displaystyle\s*(.*)\}", re.S)
_TEX_WRAPPER = re.compile(r"^\s*+%?\s*+<!\[CDATA\[|(?:%|(?<!\s))\s*+\]\]>\s*+$")
_RENDERED = re.compile(r"^(?:MathJax|MJX|mjx)", re.I)
# How elements of MathML are written in line, by their name and how many parts they hold
_FORMS = {
    ("mfrac", 2): "{}/{}",
    ("msup", 2): "{}^{}", ("mover", 2): "{}^{}",
    ("msub", 2): "{}_{}", ("munder", 2): "{}_{}",
    ("msubsup", 3): "{}_{}^{}", ("munderover", 3): "{}_{}^{}",
}  # fmt: skip
_INFIX = frozenset("=+-−±×·∗*<>≤≥≠≈≡∼→⇒∈∪∩∧∨,;:|")


def render(tree: HtmlElement) -> None:
    """Change the tree so that it reads as a browser shows it."""
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
    """Put declared shadow roots in their hosts (HTML Living Standard, section 4.12.3), the outermost first.

    A root with MAX_NESTED_ROOTS others around it stays where it stands, and is read together with what its host
    holds beside it: moving elements takes time that grows with how often they are moved.
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
    """Replace a host's children by its shadow root, whose slots take them."""
    words, slotted = _take_content(host, template)
    for slot in slots:
        name = slot.get("name") or ""
        taken = slotted.pop(name, [])
        slot.tag = "span"
        if taken or (not name and words):
            del slot[:]
            slot.text, words = (words, "") if not name else (None, words)
            slot.extend(taken)
    host.text = template.text
    host.extend(list(template))


def _take_content(host: HtmlElement, template: HtmlElement) -> tuple[str, dict[str, list[HtmlElement]]]:
    """Empty a host; return its own text, and its children but the template by the name of the slot that each is for."""
    texts = [text.strip() for text in (host.text, *(child.tail for child in host)) if text]
    children = [child for child in host if child is not template]
    del host[:]
    slotted: dict[str, list[HtmlElement]] = {}
    for child in children:
        child.tail = None
        slotted.setdefault(child.get("slot") or "" if isinstance(child.tag, str) else "", []).append(child)
    return " ".join(filter(None, texts)), slotted


def _show_tex(script: HtmlElement) -> None:
    """Put MathJax's source in line; what MathJax made of it before the page was stored goes."""
    kind = (script.get("type") or "").lower()
    if not kind.startswith(("math/tex", "math/asciimath")):
        return
    before = script.getprevious()
    while before is not None and not (before.tail or "").strip() and _RENDERED.match(before.get("class") or ""):
        before.drop_tree()
        before = script.getprevious()
    _replace(script, _TEX_WRAPPER.sub("", script.text or ""), "display" in kind)


def _show_formula(math: HtmlElement) -> None:
    """Put MathML in line: as the TeX that it was made from, or else as its own text; what repeats it goes."""
    around = math.getparent()
    if around is None or next(math.iterancestors("math"), None) is not None:  # of another formula
        return
    text = _tex(math) or math.get("alttext") or _linear(math)
    _drop_rendered(around)
    shown = _DISPLAY_STYLE.fullmatch(text.strip())
    _replace(math, shown[1] if shown else text, math.get("display") == "block")


def _tex(math: HtmlElement) -> str | None:
    notes = (a for a in math.iter("annotation") if "tex" in (a.get("encoding") or "").lower())
    return next((note.text for note in notes), None)


def _drop_rendered(around: HtmlElement) -> None:
    """Drop what KaTeX or MathJax rendered beside the element that holds MathML for screen readers."""
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
    """Write MathML in one line: x^2, a_i, (a + b)/c, √(x). Spaces stand where signs and names meet."""
    written: dict[HtmlElement, str] = {}
    for element in reversed(list(math.iter())):  # what an element holds comes before it
        parts = [part for child in element if (part := written.pop(child, ""))]
        written[element] = _in_line(element, parts)
    return written[math]


def _in_line(element: HtmlElement, parts: list[str]) -> str:
    """Write an element of MathML, given what it holds."""
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
    """Put the readings above words behind them, in brackets, as <rp> does where the page gives it."""
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
    """Put a document that stands in an <iframe srcdoc> in its place."""
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
