"""Every view, in the order in which they are made, and what adds those to a batch that some filter reads."""

from collections.abc import Iterable

import pyarrow as pa

from filters.verdict import Filter
from filters.views.characters import character_fractions, character_repetition
from filters.views.grams import gram_fractions
from filters.views.lines import line_counts
from filters.views.perplexity import perplexity
from filters.views.tokens import token_counts, tokens
from filters.views.view import Aids, View
from filters.words import WORD, count

VIEWS = (
    View("num_words", ("text",), lambda batch, aids: count(batch["text"], WORD)),
    View("tokens", ("text",), tokens),
    View("token_counts", ("tokens",), token_counts),
    View("line_counts", ("text",), line_counts),
    View("gram_fractions", ("text", "tokens"), gram_fractions),
    View("character_fractions", ("text",), character_fractions),
    View("character_repetition", ("text",), character_repetition),
    View("perplexity", ("text",), perplexity),
)


def with_views(batch: pa.RecordBatch, filters: Iterable[Filter], aids: Aids) -> pa.RecordBatch:
    """Add to a batch each view that a filter reads, once, and none that nobody reads."""
    wanted = {column for filter in filters for column in filter.reads}
    for view in reversed(VIEWS):
        if view.name in wanted:
            wanted.update(view.reads)
    for view in VIEWS:
        if view.name in wanted and set(view.reads) <= set(batch.schema.names):
            batch = batch.append_column(view.name, view.make(batch, aids))
    return batch


__all__ = ["VIEWS", "Aids", "View", "with_views"]
