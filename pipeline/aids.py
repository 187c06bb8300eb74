"""What filters need from files: lists of words, and a language model."""

import re
from collections.abc import Callable
from functools import cache

import fsspec
import pyarrow as pa

from filters import Aids
from filters.function_words import ENGLISH
from schemas.errors import MissingError, PathError
from schemas.recipe.filters import Lists

_DIGIT = re.compile(r"\d")


@cache
def aids(lists: Lists) -> Aids:
    """Load what a recipe's filters.lists name, once per process.

    Raises: PathError when a file cannot be read; MissingError when a model is named and kenlm is not installed.
    """
    named = {
        "stop_words": lists.stop_words,
        "common_words": lists.common_words,
        "flagged_words": lists.flagged_words,
        "spam_words": lists.spam_words,
    }
    words = {name: read_words(path) for name, path in named.items() if path is not None}
    model = perplexity(lists.kenlm, lists.sentencepiece) if lists.kenlm else None
    return Aids({"stop_words": ENGLISH, **words}, model)


def read_words(path: str) -> frozenset[str]:
    """Read a file of one word a line, from a path or an fsspec URL. Raises: PathError when it cannot be read."""
    try:
        with fsspec.open(path, "rt", encoding="utf-8") as file:
            lines = [line.partition("#")[0].strip().lower() for line in file]
    except (OSError, ValueError) as error:
        raise PathError(f"filters.lists: cannot read {path}: {error}") from error
    return frozenset(filter(None, lines))


def perplexity(model: str, pieces: str | None) -> Callable[[pa.Array], pa.Array]:
    """Load a KenLM model; return what measures texts by it, line by line, as CCNet (arXiv 1911.00359) does.

    Texts are put into lower case, and their digits become 0. A text without words has a perplexity of 1.
    """
    try:
        import kenlm
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise MissingError("filters.lists.kenlm needs the packages of `pip install 'weft[kenlm]'`") from error
    try:
        scorer = kenlm.Model(model)
        cutter = SentencePieceProcessor(model_file=pieces) if pieces else None
    except OSError as error:
        raise PathError(f"filters.lists: cannot load {model} or {pieces}: {error}") from error

    def measure(text: str) -> float:
        log_10, num_words = 0.0, 0
        for line in _DIGIT.sub("0", text.lower()).splitlines():
            words = cutter.encode(line, out_type=str) if cutter else line.split()
            if words:
                log_10 += scorer.score(" ".join(words))
                num_words += len(words) + 1  # the end of a line is foretold too
        return float(10 ** (-log_10 / max(num_words, 1)))

    return lambda texts: pa.array([measure(text) for text in texts.to_pylist()], pa.float64())
