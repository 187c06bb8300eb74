"""Run filters over Arrow batches: every measure kept, every reason recorded."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from filters import Filter
from schemas.recipe import Recipe
from schemas.tables import MEASURES, PAGES

REJECTED = pa.list_(pa.struct([("rule", pa.string()), ("measure", pa.float64()), ("threshold", pa.float64())]))
JUDGED_PAGE = pa.schema([*MEASURES.schema, PAGES.schema.field("url"), pa.field("rejected", REJECTED)])


def judge(
    batch: pa.RecordBatch, filters: Sequence[Filter], recipe: Recipe
) -> list[tuple[dict[str, float], list[dict[str, Any]]]]:
    """Judge every row by every filter; return for each row its measures and what speaks against it.

    Shape: n rows in, n pairs out, same order. Nothing against a row keeps it.
    """
    rows: list[tuple[dict[str, float], list[dict[str, Any]]]] = [({}, []) for _ in range(batch.num_rows)]
    for filter in filters:
        verdict = filter(batch, recipe)
        for (measures, against), value, reason in zip(
            rows, verdict.measure.to_pylist(), verdict.reason.to_pylist(), strict=True
        ):
            measures[filter.measure] = value
            if reason is not None:
                against.append({"rule": reason, "measure": value, "threshold": verdict.threshold})
    return rows


def text_of(blocks: list[dict[str, Any]]) -> str:
    """Join the text blocks of a page, a blank line between them."""
    return "\n\n".join(b["text"] for b in blocks if b["kind"] == "text")


def judge_pages(
    filters: Sequence[Filter], recipe: Recipe
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that turns batches of `pages` into batches of JUDGED_PAGE."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            texts = pa.array([text_of(blocks) for blocks in batch["blocks"].to_pylist()], pa.string())
            judged = judge(batch.append_column("text", texts), filters, recipe)
            columns = {name: batch[name] for name in ("page_id", "warc_file", "warc_offset", "url")}
            yield pa.RecordBatch.from_pydict(
                {
                    **columns,
                    "measures": pa.array([list(m.items()) for m, _ in judged], MEASURES.schema.field("measures").type),
                    "reasons": [[a["rule"] for a in against] for _, against in judged],
                    "rejected": [against for _, against in judged],
                },
                schema=JUDGED_PAGE,
            )

    return run


def judge_captions(
    filters: Sequence[Filter], recipe: Recipe
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that turns batches of `captions` into themselves with a column `rejected`."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            against = [a for _, a in judge(batch, filters, recipe)]
            yield batch.append_column("rejected", pa.array(against, REJECTED))

    return run
