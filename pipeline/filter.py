"""Run filters over Arrow batches; record all measures and all reasons."""

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
    """Load the word lists and the model of a recipe's filters.lists, once per process.

    Raises: PathError when a file cannot be read; MissingError when a model is set and kenlm is not installed.
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
    """Read a file with one word per line, from a path or fsspec URL. Raises: PathError when it cannot be read."""
    try:
        with fsspec.open(path, "rt", encoding="utf-8") as file:
            lines = [line.partition("#")[0].strip().lower() for line in file]
    except (OSError, ValueError) as error:
        raise PathError(f"filters.lists: cannot read {path}: {error}") from error
    return frozenset(filter(None, lines))


def perplexity(model: str, tokenizer: str | None) -> Callable[[pa.Array], pa.Array]:
    """Load a KenLM model; return a function from n texts to n perplexities (float64).

    Texts are scored line by line, in lower case, with digits replaced by 0. A text without words has perplexity 1.
    Source: CCNet, arXiv 1911.00359.
    Raises: PathError when a file cannot be loaded; MissingError when kenlm is not installed.
    """
    try:
        import kenlm
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise MissingError("filters.lists.kenlm needs the packages of `pip install 'weft[kenlm]'`") from error
    try:
        scorer = kenlm.Model(model)
        processor = SentencePieceProcessor(model_file=tokenizer) if tokenizer else None
    except OSError as error:
        raise PathError(f"filters.lists: cannot load {model} or {tokenizer}: {error}") from error

    def measure(text: str) -> float:
        log_10, num_words = 0.0, 0
        for line in _DIGIT.sub("0", text.lower()).splitlines():
            words = processor.encode(line, out_type=str) if processor else line.split()
            if words:
                log_10 += scorer.score(" ".join(words))
                num_words += len(words) + 1  # the end of a line is predicted too
        return float(10 ** (-log_10 / max(num_words, 1)))

    return lambda texts: pa.array([measure(text) for text in texts.to_pylist()], pa.float64())


_REJECTION = (("rule", pa.string()), ("measure", pa.float64()), ("threshold", pa.float64()))
REJECTED = pa.list_(pa.struct(_REJECTION))
"""The rejections of a row."""

REJECTED_PAGE = pa.list_(pa.struct([("level", pa.string()), ("block", pa.int32()), *_REJECTION]))
"""The rejections of a page and of its paragraphs; the latter have a block index."""

FILTERED_PAGE = pa.schema([*MEASURES.schema, PAGES.schema.field("url"), pa.field("rejected", REJECTED_PAGE)])
Rejections = list[dict[str, Any]]


def apply_filters(
    batch: pa.RecordBatch, filters: Sequence[Filter], recipe: Recipe, resources: Resources | None = None
) -> list[tuple[Filter, Decision]]:
    """Apply all active filters to a batch; compute each feature once.

    Shape: n rows in, n rows in each decision, in the same order.
    """
    active = [filter for filter in filters if filter.on(recipe)]
    features = with_features(batch, active, resources or Resources())
    return [(filter, filter(features, recipe)) for filter in active]


def collect_rejections(decisions: Sequence[tuple[Filter, Decision]], num_rows: int) -> list[Rejections]:
    """Return each row's rejections by all filters; a row without any is kept."""
    found: list[Rejections] = [[] for _ in range(num_rows)]
    for _, decision in decisions:
        for row in np.flatnonzero(decision.reason.is_valid().to_numpy(zero_copy_only=False)).tolist():
            reason = decision.reason[row].as_py()
            found[row].append(
                {"rule": reason, "measure": decision.measure[row].as_py(), "threshold": decision.bounds.get(reason)}
            )
    return found


def collect_measures(decisions: Sequence[tuple[Filter, Decision]], num_rows: int) -> pa.MapArray:
    """Return each row's measures, by name."""
    ends = pa.array(np.arange(num_rows + 1) * len(decisions), pa.int32())
    names = pa.array([filter.measure for filter, _ in decisions] * num_rows, pa.string())
    values = np.array([decision.measure.to_numpy() for _, decision in decisions]).T.ravel()
    return pa.MapArray.from_arrays(ends, names, pa.array(values, pa.float64()))


def join_text(blocks: list[dict[str, Any]]) -> str:
    """Join the text blocks of a page with blank lines."""
    return "\n\n".join(b["text"] for b in blocks if b["kind"] == "text")


def filter_pages(recipe: Recipe) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of `pages` into batches of FILTERED_PAGE.

    Paragraph filters run first; page filters see the kept paragraphs.
    """

    def run(batches: Batches) -> Batches:
        resources = load_resources(recipe.filters.lists)
        for batch in batches:
            at, owners, places = of_kind(batch["blocks"], "text")
            texts = field(batch["blocks"], "text", at)
            rejected: list[Rejections] = [[] for _ in range(batch.num_rows)]
            decisions = apply_filters(pa.record_batch({"text": texts}), PARAGRAPH_FILTERS, recipe, resources)
            is_kept = np.ones(len(texts), np.bool_)
            for index, found in enumerate(collect_rejections(decisions, len(texts)) if decisions else ()):
                is_kept[index] = not found
                rejected[owners[index]] += [{"level": "paragraph", "block": int(places[index]), **a} for a in found]
            kept = by_page(texts.filter(pa.array(is_kept)), owners[is_kept], batch.num_rows)
            text = pc.binary_join(kept, "\n\n")  # as join_text
            decisions = apply_filters(batch.append_column("text", text), PAGE_FILTERS, recipe, resources)
            of_pages = collect_rejections(decisions, batch.num_rows)
            for all_found, found in zip(rejected, of_pages, strict=True):
                all_found += [{"level": "page", "block": None, **a} for a in found]
            yield pa.RecordBatch.from_pydict(
                {
                    **{name: batch[name] for name in (*CAPTURE, "url")},
                    "measures": collect_measures(decisions, batch.num_rows),
                    "reasons": [[a["rule"] for a in found] for found in of_pages],
                    "rejected": rejected,
                },
                schema=FILTERED_PAGE,
            )

    return run


def filter_rows(filters: Sequence[Filter], recipe: Recipe) -> Callable[[Batches], Batches]:
    """Return the function that appends a column `rejected` to batches of captions or images."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            found = collect_rejections(apply_filters(batch, filters, recipe), batch.num_rows)
            yield batch.append_column("rejected", pa.array(found, REJECTED))

    return run


_OF_PAGE = ("language", "language_score")
MEASURED = pa.schema(
    [*(f for f in MEASURES.schema if f.name != "reasons"), *(PAGES.schema.field(name) for name in ("url", *_OF_PAGE))]
)
"""A page's measures and the page columns that filters read besides its text."""


def can_retune(old: Recipe, new: Recipe) -> bool:
    """Return whether the measures stored under one recipe suffice to filter all pages by another.

    They do not if paragraph filters or lists changed, since pages are measured without dropped paragraphs, or if a
    filter was inactive.
    """
    if (old.filters.paragraph, old.filters.lists) != (new.filters.paragraph, new.filters.lists):
        return False
    return all(f.on(old) if f.by_measure else set(f.reads) <= set(_OF_PAGE) for f in PAGE_FILTERS if f.on(new))


def retune_pages(recipe: Recipe, batches: Batches) -> Batches:
    """Turn batches of MEASURED into batches of FILTERED_PAGE, without rejections of paragraphs."""
    active = [f for f in PAGE_FILTERS if f.on(recipe)]
    for batch in batches:
        stored = {f: pc.map_lookup(batch["measures"], f.measure, "first") for f in active if f.by_measure}
        decisions = [(f, f.reapply(stored[f], recipe) if f in stored else f(batch, recipe)) for f in active]
        found = collect_rejections(decisions, batch.num_rows)
        yield pa.RecordBatch.from_pydict(
            {
                **{name: batch[name] for name in (*CAPTURE, "url")},
                "measures": collect_measures(decisions, batch.num_rows),
                "reasons": [[a["rule"] for a in of_page] for of_page in found],
                "rejected": [[{"level": "page", "block": None, **a} for a in of_page] for of_page in found],
            },
            schema=FILTERED_PAGE,
        )
