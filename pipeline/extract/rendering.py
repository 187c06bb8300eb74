"""Make a tree hold what browsers show: shadow roots where their hosts stand, each formula in one form, ruby in line."""

import re

from lxml.etree import LxmlError, iterwalk
from lxml.html import HtmlElement

from pipeline.extract.depth import parse_fragment

MAX_NESTED_ROOTS = 64  # around another; pages of web components nest a dozen

# Elements that may be a shadow host, beside custom ones (DOM Living Standard, "valid shadow host name")
_HOSTS = frozenset(("article", "aside", "blockquote", "body", "div", "footer", "h1", "h2", "h3", "h4", "h5", "h6",
                    "header", "main", "nav", "p", "section", "span"))  # fmt: skip
_DISPLAY_STYLE = re.compile(r"\{\\displaystyle\s*(.*)\}", re.S)
_TEX_WRAPPER = re.compile(r"^\s*+%?\s*+<!\[CDATA\[|(?:%|(?<!\s))\s*+\]\]>\s*+$")
_RENDERED = re.compile(r"^(?:MathJax|MJX|mjx)", re.I)
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
    children = [child for child in host if child is not template]
    texts = [host.text, *(child.tail for child in host)]
    slotted: dict[str, list[HtmlElement]] = {}
    for child in children:
        child.tail = None
        slotted.setdefault(child.get("slot") or "" if isinstance(child.tag, str) else "", []).append(child)
    words = " ".join(text.strip() for text in texts if text and text.strip())
    for child in list(host):
        host.remove(child)
    for slot in slots:
        name = slot.get("name") or ""
        taken = slotted.pop(name, [])
        slot.tag = "span"
        if taken or (not name and words):
            for child in list(slot):
                slot.remove(child)
            slot.text, words = (words, "") if not name else (None, words)
            slot.extend(taken)
    host.text = template.text
    host.extend(list(template))


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
    notes = [a for a in math.iter("annotation") if "tex" in (a.get("encoding") or "").lower()]
    text = (notes[0].text if notes else None) or math.get("alttext") or _linear(math)
    if "katex-mathml" in (around.get("class") or ""):
        while (sibling := around.getnext()) is not None and "katex-html" in (sibling.get("class") or ""):
            sibling.drop_tree()
    if "assistive" in (around.get("class") or str(around.tag)).lower():
        for sibling in list(around.itersiblings(preceding=True)):
            sibling.drop_tree()
    shown = _DISPLAY_STYLE.fullmatch(text.strip())
    _replace(math, shown[1] if shown else text, math.get("display") == "block")


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
    if tag == "mfrac" and len(parts) == 2:
        return "/".join(map(_bracketed, parts))
    if tag in ("msup", "mover") and len(parts) == 2:
        return f"{_bracketed(parts[0])}^{_bracketed(parts[1])}"
    if tag in ("msub", "munder") and len(parts) == 2:
        return f"{_bracketed(parts[0])}_{_bracketed(parts[1])}"
    if tag in ("msubsup", "munderover") and len(parts) == 3:
        return f"{_bracketed(parts[0])}_{_bracketed(parts[1])}^{_bracketed(parts[2])}"
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
