"""Run filters over Arrow batches: every measure kept, every reason recorded."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import PAGE_FILTERS, PARAGRAPH_FILTERS
from filters.features import Resources, with_features
from filters.filter import Decision, Filter
from filters.words import ENGLISH
from pipeline.blocks import by_page, field, of_kind
from schemas.errors import MissingError, PathError
from schemas.recipe import Lists, Recipe
from schemas.tables import CAPTURE, MEASURES, PAGES, Batches

_DIGIT = re.compile(r"\d")


@cache
def load_resources(lists: Lists) -> Resources:
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
    return Resources({"stop_words": ENGLISH, **words}, model)


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


_AGAINST = (("rule", pa.string()), ("measure", pa.float64()), ("threshold", pa.float64()))
REJECTED = pa.list_(pa.struct(_AGAINST))
"""What speaks against a row."""

REJECTED_PAGE = pa.list_(pa.struct([("level", pa.string()), ("block", pa.int32()), *_AGAINST]))
"""What speaks against a page, and against its paragraphs: these have the index of their block."""

JUDGED_PAGE = pa.schema([*MEASURES.schema, PAGES.schema.field("url"), pa.field("rejected", REJECTED_PAGE)])
Against = list[dict[str, Any]]


def apply_filters(
    batch: pa.RecordBatch, filters: Sequence[Filter], recipe: Recipe, aids: Resources | None = None
) -> list[tuple[Filter, Decision]]:
    """Judge every row by every filter that is on; each view that they read is made once.

    Shape: n rows in, n rows in each verdict, same order.
    """
    active = [filter for filter in filters if filter.on(recipe)]
    seen = with_features(batch, active, aids or Resources())
    return [(filter, filter(seen, recipe)) for filter in active]


def held_against(judged: Sequence[tuple[Filter, Decision]], num_rows: int) -> list[Against]:
    """Return what speaks against each row, from every filter; a row that none rejected has nothing, and stays."""
    found: list[Against] = [[] for _ in range(num_rows)]
    for _, verdict in judged:
        for row in np.flatnonzero(verdict.reason.is_valid().to_numpy(zero_copy_only=False)).tolist():
            reason = verdict.reason[row].as_py()
            found[row].append(
                {"rule": reason, "measure": verdict.measure[row].as_py(), "threshold": verdict.bounds.get(reason)}
            )
    return found


def told_measures(judged: Sequence[tuple[Filter, Decision]], num_rows: int) -> pa.MapArray:
    """Return what was measured on each row, by name."""
    ends = pa.array(np.arange(num_rows + 1) * len(judged), pa.int32())
    names = pa.array([filter.measure for filter, _ in judged] * num_rows, pa.string())
    values = np.array([verdict.measure.to_numpy() for _, verdict in judged]).T.ravel()
    return pa.MapArray.from_arrays(ends, names, pa.array(values, pa.float64()))


def text_of(blocks: list[dict[str, Any]]) -> str:
    """Join the text blocks of a page, a blank line between them."""
    return "\n\n".join(b["text"] for b in blocks if b["kind"] == "text")


def filter_pages(recipe: Recipe) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of `pages` into batches of JUDGED_PAGE.

    Paragraphs are judged first; a page is judged by what they leave of it.
    """

    def run(batches: Batches) -> Batches:
        known = load_resources(recipe.filters.lists)
        for batch in batches:
            at, owners, places = of_kind(batch["blocks"], "text")
            texts = field(batch["blocks"], "text", at)
            rejected: list[Against] = [[] for _ in range(batch.num_rows)]
            judged = apply_filters(pa.record_batch({"text": texts}), PARAGRAPH_FILTERS, recipe, known)
            stays = np.ones(len(texts), np.bool_)
            for index, found in enumerate(held_against(judged, len(texts)) if judged else ()):
                stays[index] = not found
                rejected[owners[index]] += [{"level": "paragraph", "block": int(places[index]), **a} for a in found]
            left = by_page(texts.filter(pa.array(stays)), owners[stays], batch.num_rows)
            text = pc.binary_join(left, "\n\n")  # as text_of
            judged = apply_filters(batch.append_column("text", text), PAGE_FILTERS, recipe, known)
            of_pages = held_against(judged, batch.num_rows)
            for all_found, found in zip(rejected, of_pages, strict=True):
                all_found += [{"level": "page", "block": None, **a} for a in found]
            yield pa.RecordBatch.from_pydict(
                {
                    **{name: batch[name] for name in (*CAPTURE, "url")},
                    "measures": told_measures(judged, batch.num_rows),
                    "reasons": [[a["rule"] for a in found] for found in of_pages],
                    "rejected": rejected,
                },
                schema=JUDGED_PAGE,
            )

    return run


def filter_rows(filters: Sequence[Filter], recipe: Recipe) -> Callable[[Batches], Batches]:
    """Return the function that turns batches, of captions or of images, into themselves with a column `rejected`."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            found = held_against(apply_filters(batch, filters, recipe), batch.num_rows)
            yield batch.append_column("rejected", pa.array(found, REJECTED))

    return run


_OF_PAGE = ("language", "language_score")
MEASURED = pa.schema(
    [*(f for f in MEASURES.schema if f.name != "reasons"), *(PAGES.schema.field(name) for name in ("url", *_OF_PAGE))]
)
"""What was measured of a page, and what its row says beside its text."""


def can_retune(old: Recipe, new: Recipe) -> bool:
    """Tell whether the measures that were kept under one recipe are enough to judge all pages by another.

    They are not when other paragraphs go, since a page is measured without them; nor where a filter was off before.
    """
    if (old.filters.paragraph, old.filters.lists) != (new.filters.paragraph, new.filters.lists):
        return False
    return all(f.on(old) if f.by_measure else set(f.reads) <= set(_OF_PAGE) for f in PAGE_FILTERS if f.on(new))


def retune_pages(recipe: Recipe, batches: Batches) -> Batches:
    """Turn batches of MEASURED into batches of JUDGED_PAGE, the paragraphs' rejections left out."""
    active = [f for f in PAGE_FILTERS if f.on(recipe)]
    for batch in batches:
        kept = {f: pc.map_lookup(batch["measures"], f.measure, "first") for f in active if f.by_measure}
        judged = [(f, f.again(kept[f], recipe) if f in kept else f(batch, recipe)) for f in active]
        found = held_against(judged, batch.num_rows)
        yield pa.RecordBatch.from_pydict(
            {
                **{name: batch[name] for name in (*CAPTURE, "url")},
                "measures": told_measures(judged, batch.num_rows),
                "reasons": [[a["rule"] for a in of_page] for of_page in found],
                "rejected": [[{"level": "page", "block": None, **a} for a in of_page] for of_page in found],
            },
            schema=JUDGED_PAGE,
        )
