"""What elements and their names say about the text in them."""

import re
from functools import lru_cache

# Part of a line of text; every other element begins and ends a block.
INLINE = frozenset(
    ("a", "abbr", "acronym", "amp-img", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
     "font", "i", "img", "ins", "kbd", "label", "mark", "math", "nobr", "output", "picture", "q", "rb", "rp",
     "rt", "ruby", "s", "samp", "small", "source", "span", "strike", "strong", "sub", "sup", "svg", "time",
     "tt", "u", "var", "wbr")
)  # fmt: skip
# Nothing in them is read as text.
SKIPPED = frozenset(
    ("area", "audio", "base", "canvas", "datalist", "dialog", "embed", "frame", "frameset", "head", "iframe",
     "input", "link", "map", "math", "meta", "meter", "noembed", "noframes", "object", "option", "param", "progress",
     "script", "select", "style", "svg", "template", "textarea", "title", "track", "video")
)  # fmt: skip
# Blocks whatever stands beside them. What is in neither set nor skipped is unknown to HTML, or a button.
BLOCKS = frozenset(
    ("address", "article", "aside", "blockquote", "body", "caption", "center", "col", "colgroup", "dd", "details",
     "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
     "header", "hgroup", "html", "legend", "li", "listing", "main", "menu", "nav", "noscript", "ol", "optgroup", "p",
     "plaintext", "pre", "search", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
     "xmp")
)  # fmt: skip
EMPHASIS = frozenset(("b", "strong", "em", "i"))
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))

TAGS = (
    "nav", "footer", "header", "aside", "main", "article", "section", "form", "table", "ul", "ol", "li", "dl",
    "blockquote", "pre", "figure", "figcaption", "p", "h1", "h2", "h3", "h4", "h5", "h6", "td", "th", "dd", "dt", "a",
    "button", "details", "summary", "address", "div", "span", "label", "fieldset", "center", "tr", "noscript",
)  # fmt: skip
"""Elements that tell something of their text: the bit of each is its place here."""
TAG_NUMBER = {tag: number for number, tag in enumerate(TAGS)}

# What sites call things in class, id, role and itemprop: families of words, whatever the site.
_FAMILIES = {
    "navigation": r"nav|menu|breadcrumb|crumb|toolbar|tabs?\b|pagina|pager",
    "foot": r"foot|copyright|legal|colophon|disclaimer",
    "head": r"head(er)?\b|masthead|banner|topbar|hero",
    "side": r"side|aside|widget|rail|column",
    "related": r"relat|recommend|similar|more-|also|trending|popular|latest|recent|teaser|suggest|upsell|cross",
    "social": r"share|social|follow|twitter|facebook|like",
    "advertisement": r"\bad\b|\bads|advert|sponsor|promo|outbrain|taboola|dfp",
    "overlay": r"cookie|consent|gdpr|modal|popup|overlay|newsletter|subscri|sign-?up|login|signin|register|toast|alert"
    r"|notice",
    "comment": r"comment|repl(y|ies)|disqus|discuss|respon",
    "about": r"meta|byline|author|date|time|tag|categor|label|badge|info\b|stat|count",
    "content": r"content|article|post|entry|story|body|main|text|prose|markdown|rich|wysiwyg|copy",
    "product": r"product|price|desc|spec|feature|detail|summary|review|rating|overview",
    "forum": r"thread|topic|message|forum|question|answer|qa|bbs|cooked|postbody",
    "list": r"list|grid|card|item|result|tile|collection|catalog|feed",
    "form": r"form|search|filter|sort|cart|checkout|btn|button|input|control",
    "hidden": r"hidden|hide\b|visually|sr-only|screen-reader|collapse|d-none|invisible",
    "caption": r"caption|credit|gallery|slide|carousel",
    "manual": r"doc|guide|help|faq|manual|reference|code|highlight|api",
}
FAMILIES = tuple(_FAMILIES)
HIDDEN = 1 << FAMILIES.index("hidden")
_PATTERNS = tuple(re.compile(pattern) for pattern in _FAMILIES.values())


def families(names: str) -> int:
    """Return the families that an element's names fall into, a bit for each of FAMILIES."""
    found = 0
    for name in names.split():
        found |= _families(name)
    return found


@lru_cache(maxsize=50_000)
def _families(name: str) -> int:  # one by one: sites put few names together in many ways
    lower = name[:500].lower()
    return sum(1 << number for number, pattern in enumerate(_PATTERNS) if pattern.search(lower))
