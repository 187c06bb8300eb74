"""Throw out most pages of a crawl before the dear part of extraction, cheapest test first.

A gate sees the whole page, navigation included, so it refuses only what no main text could redeem; the filters judge
the rest.
"""

import re
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser

from pipeline.consent import directives
from pipeline.extract.characters import clean
from pipeline.extract.charset import decode_html
from pipeline.extract.depth import flatten
from pipeline.extract.gates.blocklist import Blocklist
from pipeline.extract.language import probability
from pipeline.extract.refusal import Refusal
from pipeline.read import Response
from schemas.recipe import extract

NUM_WINDOWS = 3  # of the text: a page may begin and end in one language, and speak another between
WINDOW_CHARACTERS = 300
_FIRST_UNSPACED = "\u0e00"  # the scripts that filters/words.py counts by the character begin with Thai
_IMAGES = "img, amp-img, figure, noscript"  # a <noscript> or <figure> may hold one that no parser sees as an element
_TEMPLATE = re.compile(r"(</?)template\b", re.I)
_RULES = {"noimageai": "DIRECTIVE", "noimageindex": "DIRECTIVE"}  # of the directives that leave the page its text


@dataclass(frozen=True)
class Verdict:
    """Why a page is not worth extracting, or why its images are to be left out of it; mostly neither."""

    page: Refusal | None = None
    images: Refusal | None = None


class Gates:
    """The gates that a recipe sets; all off, they cost nothing."""

    def __init__(self, config: extract.Gates, agent: str = directives.ALL_ROBOTS) -> None:
        """Take the name by which pages may speak to us. Raises: PathError when the blocklist cannot be read."""
        self.config, self.agent = config, agent
        self.blocklist = Blocklist(config.blocklist) if config.blocklist else None

    def refuse(self, response: Response) -> Refusal | None:
        """Return why a page is not worth extracting; None when it may be."""
        return self.judge(response).page

    def judge(self, response: Response) -> Verdict:
        """Judge a page, and parse it once at most."""
        line = self.blocklist.match(response.url) if self.blocklist else None
        if line:
            return Verdict(Refusal("BLOCKED_HOST", line))
        config, agent = self.config, self.agent
        said = directives.in_headers(response.headers, agent) if config.directives else {}
        refused = self._forbidden(said, "PAGE_DIRECTIVE")
        if refused:
            return Verdict(refused)
        judges_text = config.need_image or config.min_words or config.languages
        if judges_text or (config.directives and directives.may_be_in_page(response.body, agent)):
            html = flatten(decode_html(response.body, response.charset))
            if "shadowrootmode" in html.lower():  # the parser shows nothing of a template
                html = _TEMPLATE.sub(r"\1div", html)
            tree = LexborHTMLParser(html)
            if config.directives:
                said = directives.in_page(tree, agent) | said
            refused = self._forbidden(said, "PAGE_DIRECTIVE") or _judge(tree, html, config)
        return Verdict(refused, self._forbidden(said, "DIRECTIVE"))

    def _forbidden(self, said: dict[str, str], rule: str) -> Refusal | None:
        wanted = (d for d in self.config.directives if d in said and _RULES.get(d, "PAGE_DIRECTIVE") == rule)
        return next((Refusal(rule, said[d]) for d in wanted), None)


def _judge(tree: LexborHTMLParser, html: str, config: extract.Gates) -> Refusal | None:
    if config.need_image and not _may_have_image(tree):
        return Refusal("NO_IMAGE", measure=0, threshold=1)
    if not (config.min_words or config.languages):
        return None
    tree.strip_tags(["script", "style"])
    text = clean(tree.body.text(separator=" ")) if tree.body else ""
    words = text.split()
    if len(words) < config.min_words:
        # unspaced scripts count by the character; an image's caption may be worth a pair; and main text may come from
        # linked data, outside the body's text
        num_words = len(words) + sum(c >= _FIRST_UNSPACED for c in text)
        if num_words < config.min_words and not _may_have_image(tree) and '"articleBody"' not in html:
            return Refusal("TOO_SHORT", measure=num_words, threshold=config.min_words)
    return _judge_language(" ".join(words), config) if config.languages else None


def _may_have_image(tree: LexborHTMLParser) -> bool:
    """Tell whether any element may give an image; one declared to be of a single pixel does not."""
    for element in tree.css(_IMAGES):
        size = {element.attributes.get("width"), element.attributes.get("height")}
        if element.tag == "noscript":
            if "&lt;img" in (element.html or "").lower():
                return True
        elif element.tag != "img" or "1" not in size:
            return True
    return False


def _judge_language(text: str, config: extract.Gates) -> Refusal | None:
    """Refuse a page when no window of its text is likely in any wanted language; one without letters is let through."""
    best = -1.0
    step = max((len(text) - WINDOW_CHARACTERS) // (NUM_WINDOWS - 1), WINDOW_CHARACTERS)
    for start in range(0, max(len(text) - WINDOW_CHARACTERS, 0) + 1, step):
        found = probability(text[start : start + WINDOW_CHARACTERS], config.languages)
        best = best if found is None else max(best, found)
        if found is not None and found >= config.min_language_score:
            return None
    if best < 0:
        return None
    return Refusal("WRONG_LANGUAGE", measure=best, threshold=config.min_language_score)
