"""Throw out most pages of a crawl before the dear part of extraction, cheapest test first.

A gate sees the whole page, navigation included, so it refuses only what no main text could redeem; the filters judge
the rest.
"""

from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.charset import decode_html
from pipeline.extract.gates import directives
from pipeline.extract.gates.blocklist import Blocklist
from pipeline.extract.language import probability
from pipeline.extract.refusal import Refusal
from pipeline.read import Response
from schemas import recipe

NUM_WINDOWS = 3  # of the text: a page may begin and end in one language, and speak another between
WINDOW_CHARACTERS = 300
_FIRST_UNSPACED = "\u0e00"  # the scripts that filters/words.py counts by the character begin with Thai
_IMAGES = "img, amp-img, figure, noscript"  # a <noscript> or <figure> may hold one that no parser sees as an element


class Gates:
    """The gates that a recipe sets; all off, they cost nothing."""

    def __init__(self, config: recipe.Gates) -> None:
        """Raises: PathError when the blocklist cannot be read."""
        self.config = config
        self.blocklist = Blocklist(config.blocklist) if config.blocklist else None

    def refuse(self, response: Response) -> Refusal | None:
        """Return why a page is not worth extracting; None when it may be."""
        line = self.blocklist.match(response.url) if self.blocklist else None
        if line:
            return Refusal("BLOCKED_HOST", line)
        config = self.config
        found = _directive(config, directives.in_headers(response.headers))
        if found or not (config.robots or config.need_image or config.min_words or config.languages):
            return found
        html = decode_html(response.body, response.charset)
        return _judge(LexborHTMLParser(html), html, config)


def _judge(tree: LexborHTMLParser, html: str, config: recipe.Gates) -> Refusal | None:
    if config.robots and (found := _directive(config, directives.in_page(tree))):
        return found
    if config.need_image and not _may_have_image(tree):
        return Refusal("NO_IMAGE", measure=0, threshold=1)
    if not (config.min_words or config.languages):
        return None
    tree.strip_tags(["script", "style"])
    text = tree.body.text(separator=" ") if tree.body else ""
    words = text.split()
    if len(words) < config.min_words:
        # unspaced scripts count by the character; an image's caption may be worth a pair; and main text may come from
        # linked data, outside the body's text
        num_words = len(words) + sum(c >= _FIRST_UNSPACED for c in text)
        if num_words < config.min_words and not _may_have_image(tree) and '"articleBody"' not in html:
            return Refusal("TOO_SHORT", measure=num_words, threshold=config.min_words)
    return _judge_language(" ".join(words), config) if config.languages else None


def _directive(config: recipe.Gates, found: set[str]) -> Refusal | None:
    wanted = sorted(found.intersection(config.robots))
    return Refusal("PAGE_DIRECTIVE", ", ".join(wanted)) if wanted else None


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


def _judge_language(text: str, config: recipe.Gates) -> Refusal | None:
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
