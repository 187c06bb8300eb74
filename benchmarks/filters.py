"""Compare the filters with datatrove's on the same documents, on one core: `python -m benchmarks.filters [DATA]`.

Documents are the texts of DATA/pages.truth.jsonl.gz where it exists, else of the sample web, in pieces of 2,000
characters. Judged by the list of recipe kosmos1, and by Gopher's quality, Gopher's repetition and C4's rules as
datatrove has them. Documents on which the two differ by Gopher's rules are told by both sides' reasons.
"""

import gzip
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.peers import datatrove_filters
from benchmarks.peers.datatrove_dedup import REQUIREMENTS
from benchmarks.peers.environment import python_with
from benchmarks.results import report
from benchmarks.whole_archive import measure
from jobs.recipes import load
from pipeline.filter import filter_pages
from schemas.reasons import TEXT_FILTERS
from schemas.recipe import Recipe
from schemas.tables import PAGES

CHARACTERS = 2_000
DOCUMENTS = 2_000
BATCH = 1_000
# Recipe fineweb has all three; what it has beside them is taken back, and C4's rule of punctuation set.
AS_DATATROVE = (
    "filters.language={keep: [], min_score: 0}",
    "filters.text.max_duplicate_line_character_fraction=0.2",
    "filters.text.min_punctuated_line_fraction=null",
    "filters.text.max_short_line_fraction=null",
    "filters.paragraph.min_punctuated_line_fraction=1",
)
# Gopher's rules judge a page as it is: with those of C4 they would judge what paragraphs are left.
GOPHER_ALONE = (*AS_DATATROVE, "filters.paragraph={}", "filters.text.min_sentences=null",
                "filters.text.max_curly_brackets=null", "filters.text.max_lorem_ipsum=null")  # fmt: skip


def main() -> None:
    """Measure, print the differences, store the ratios."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # what is started from here inherits it
    python = python_with("datatrove-dedup", REQUIREMENTS)
    if python is None:
        raise SystemExit(1)
    texts = _documents(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    batches = [_pages(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
    seconds = {"kosmos1": _judge(batches, load("kosmos1"))[0]}
    seconds["as datatrove"] = _judge(batches, load("fineweb", list(AS_DATATROVE)))[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(texts), encoding="utf-8")
        peer = measure(python, datatrove_filters.__name__, str(path))
    if not peer:
        raise SystemExit(1)
    _, ours = _judge(batches, load("fineweb", list(GOPHER_ALONE)))
    same = _compare(ours, peer["reasons"])
    speed = {name: len(texts) / taken for name, taken in {**seconds, "peer": peer["seconds"]}.items()}
    unit = "documents/s on one core"
    report(
        "filters",
        {
            "documents_per_second": (speed["as datatrove"], speed["peer"], unit),
            "documents_per_second_kosmos1": (speed["kosmos1"], speed["peer"], f"{unit}; the peer's three filters"),
            "same_gopher_verdicts": (same / len(texts) / 2, 1.0, "fraction of verdicts by quality and by repetition"),
        },
    )


def _documents(data: Path | None) -> list[str]:
    """Return pages split into texts of a few paragraphs, about CHARACTERS long."""
    pieces = (
        _paragraphs(whole[start : start + CHARACTERS])
        for whole in _texts(data)
        for start in range(0, len(whole), CHARACTERS)
        if start == 0 or len(whole) - start > CHARACTERS // 2
    )
    return list(islice(filter(None, pieces), DOCUMENTS))


def _texts(data: Path | None) -> Iterator[str]:
    if data is not None and (data / "pages.truth.jsonl.gz").exists():
        with gzip.open(data / "pages.truth.jsonl.gz", "rt", encoding="utf-8") as file:
            yield from (row["text"] or "" for row in map(json.loads, file))
        return
    from tests.sampleweb.web import write_web

    with tempfile.TemporaryDirectory() as folder:
        write_web(Path(folder))
        for line in (Path(folder) / "truth.jsonl").read_text("utf-8").splitlines():
            yield "\n".join(json.loads(line)["paragraphs"])


def _paragraphs(text: str) -> str:
    """Separate the lines of a text by blank lines, like the paragraphs of a page."""
    return "\n\n".join(line.strip() for line in text.split("\n") if line.strip())


def _pages(texts: list[str]) -> pa.RecordBatch:
    empty: dict[str, Any] = dict.fromkeys(("image_url", "alt", "caption", "width", "height"))
    rows = [
        {
            **dict.fromkeys(("page_id", "url", "host", "warc_file", "captured_at", "title", "license"), ""),
            "warc_offset": 0,
            "language": "en",
            "language_score": 1.0,
            "blocks": [{**empty, "kind": "text", "text": paragraph} for paragraph in text.split("\n\n")],
        }
        for text in texts
    ]
    return PAGES.batch(rows)


def _judge(batches: list[pa.RecordBatch], recipe: Recipe) -> tuple[float, list[list[str]]]:
    """Return the seconds that filtering takes, and each page's reasons."""
    judge = filter_pages(recipe)
    seconds = []
    for _ in range(datatrove_filters.ROUNDS):
        started = time.perf_counter()
        judged = list(judge(iter(batches)))
        seconds.append(time.perf_counter() - started)
    return min(seconds), [reasons for batch in judged for reasons in batch["reasons"].to_pylist()]


def _compare(ours: list[list[str]], theirs: dict[str, list[str | None]]) -> int:
    """Count the decisions on which both implementations of Gopher's filters agree, and print the others."""
    gopher = [row for row in TEXT_FILTERS if "(Gopher)" in row.source or row.measure == "num_words"]
    repetition = {row.code for row in gopher if "table A1" in row.source}
    codes = {"quality": {row.code for row in gopher} - repetition, "repetition": repetition}
    same = 0
    differing: dict[tuple[str, str, str], int] = {}
    for name, reasons in theirs.items():
        for all_ours, their in zip(ours, reasons, strict=True) if name in codes else ():
            our = [code for code in all_ours if code in codes[name]]
            same += bool(our) == bool(their)
            if bool(our) != bool(their):
                key = (name, ", ".join(our) or "kept", their or "kept")
                differing[key] = differing.get(key, 0) + 1
    table = Table("by Gopher's", "ours", "datatrove's", "documents")
    for key, number in sorted(differing.items(), key=lambda item: -item[1]):
        table.add_row(*key, str(number))
    Console().print(table)
    return same


if __name__ == "__main__":
    main()
