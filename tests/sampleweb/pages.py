"""HTML layouts. Each takes a page's plan and writes what a site of that kind would serve."""

from collections.abc import Callable
from html import escape
from itertools import pairwise

from tests.sampleweb.embedding import Placement
from tests.sampleweb.plan import Page

SECTIONS = ("News", "Places", "Archive", "About us", "Contact")


def html(page: Page) -> str:
    """Return the page's HTML."""
    charset = f'<meta charset="{page.charset}">' if page.charset_in == "meta" else ""
    base = f'<base href="{page.base}">' if page.base else ""
    heading = "" if page.layout == "bare" else f"<title>{escape(page.title)} | {escape(page.site)}</title>"
    document = (
        f'<!doctype html>\n<html lang="{page.language}">\n<head>{charset}{base}{heading}</head>\n'
        f"<body>\n{LAYOUTS[page.layout](page)}\n</body>\n</html>\n"
    )
    return _broken(document) if page.malformed else document


def _article(page: Page) -> str:
    body = "\n".join(_figure(b) if isinstance(b, Placement) else _paragraph(b) for b in page.blocks)
    return f"{_header(page)}<main><article><h1>{escape(page.title)}</h1>\n{body}\n</article></main>{_footer(page)}"


def _blog(page: Page) -> str:
    body = "\n".join(f"<p>{b.html}</p>" if isinstance(b, Placement) else _paragraph(b) for b in page.blocks)
    return (
        f'{_header(page)}<div id="content"><div class="post"><h1 class="entry-title">{escape(page.title)}</h1>\n'
        f'<div class="entry-content">\n{body}\n</div></div></div>{_sidebar(page)}{_footer(page)}'
    )


def _gallery(page: Page) -> str:
    """A list of steps; images that follow one another share a row of thumbnails."""
    parts = []
    for block, following in pairwise((*page.blocks, "")):
        if isinstance(block, Placement):
            joined = isinstance(following, Placement)
            parts.append(f'<div class="picture">{block.html}</div>' + ("" if joined else "<hr>"))
        else:
            parts.append(f'<div class="step">{_paragraph(block)}</div>')
    body = "\n".join(parts)
    return f'{_header(page)}<article class="recipe"><h1>{escape(page.title)}</h1>\n{body}\n</article>{_footer(page)}'


def _forum(page: Page) -> str:
    """A thread: every paragraph opens a message, and the images after it belong to that message."""
    messages: list[list[str]] = []
    for block in page.blocks:
        if isinstance(block, Placement):
            messages[-1].append(f"<p>{block.html}</p>")
        else:
            messages.append([_paragraph(block)])
    body = "\n".join(f'<div class="message"><div class="message-words">{"".join(m)}</div></div>' for m in messages)
    return f'{_header(page)}<main class="thread"><h1>{escape(page.title)}</h1>\n{body}\n</main>{_footer(page)}'


def _product(page: Page) -> str:
    body = "\n".join(_figure(b) if isinstance(b, Placement) else _paragraph(b) for b in page.blocks)
    rows = (("Height", "21 cm"), ("Width", "30 cm"), ("Weight", "400 g"))
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return (
        f'{_header(page)}<main><section class="product-description"><h1>{escape(page.title)}</h1>\n{body}\n'
        f"<table>{table}</table></section></main>{_footer(page)}"
    )


def _news(page: Page) -> str:
    body = "\n".join(_figure(b) if isinstance(b, Placement) else _paragraph(b) for b in page.blocks)
    return (
        f'{_header(page)}<div class="wrapper"><article class="article-body"><h1>{escape(page.title)}</h1>\n{body}\n'
        f"</article>{_sidebar(page)}</div>{_footer(page)}"
    )


def _bare(page: Page) -> str:
    return f"<main><article>{''.join(_paragraph(b) for b in page.blocks if isinstance(b, str))}</article></main>"


LAYOUTS: dict[str, Callable[[Page], str]] = {
    "article": _article,
    "blog": _blog,
    "gallery": _gallery,
    "forum": _forum,
    "product": _product,
    "news": _news,
    "bare": _bare,
    "empty": lambda page: "",
}


WITH_FIGURES = frozenset({"article", "product", "news"})  # the others have no place for a caption


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _figure(placement: Placement) -> str:
    caption = f"<figcaption>{escape(placement.caption)}</figcaption>" if placement.caption else ""
    return f"<figure>{placement.html}{caption}</figure>"


def _header(page: Page) -> str:
    logo = page.logo.html if page.logo else ""
    links = "".join(f'<li><a href="/{s.lower().replace(" ", "-")}">{s}</a></li>' for s in SECTIONS)
    icon = '<img src="/static/search.svg" alt="">'
    return f'<header>{logo}<nav class="menu"><ul>{links}</ul>{icon}</nav></header>\n'


def _sidebar(page: Page) -> str:
    teasers = "".join(f'<li><a href="/archive">{p.html}</a></li>' for p in page.teasers)
    return (
        f'<aside class="sidebar"><h3>Most read</h3><ul>{teasers}<li><a href="/a">Ten quiet beaches</a></li>'
        '<li><a href="/b">Tram line closed</a></li></ul></aside>'
    )


def _footer(page: Page) -> str:
    return (
        f'\n<footer class="footer"><p>© 2024 {escape(page.site)}. All rights reserved.</p>'
        '<p><a href="/privacy">Privacy</a> <a href="/terms">Terms</a></p></footer>'
    )


def _broken(document: str) -> str:
    """Leave out what careless authors leave out, and leave open what they leave open."""
    for lost in ("</p>", "</body>", "</html>", "</main>", "<!doctype html>"):
        document = document.replace(lost, "")
    return document.replace("<h1", "<h1 <b", 1) + "<div><table><tr><td></b>"
