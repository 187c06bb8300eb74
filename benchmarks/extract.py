"""Compare extraction with its peers on the same archive, on one core: `python -m benchmarks.extract [DATA]`.

Engines that share this process take each page in turn; what goes through a whole archive does so in processes of its
own, in turn too. DATA/pages.warc.gz is read where it exists, else the sample web, which gives no F1.
"""

import gzip
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.extract_timing import DATATROVE, page_by_page, peak_memory, reading, whole_archives
from benchmarks.results import report
from benchmarks.scoring import text_f1

SCORED = "wcxb"  # the source of truth that holds pages of every kind
Row = tuple[str, float, float | None, int | None]  # what, milliseconds a page, text F1, peak memory in bytes


def main() -> None:
    """Measure, print the table, store the ratios."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # what is started from here inherits it
    data = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    truth = _truth(data)
    with _archives(data) as archives:
        pages, read_ms = reading(archives)
        ms, texts = page_by_page(pages)
        whole = whole_archives(archives)
        peaks = peak_memory(archives)
    f1 = {name: _f1(found, truth) for name, found in texts.items()}
    stock, fast = (f"{name} {version(name)}" for name in ("trafilatura", "resiliparse"))
    stock_ms, rejected_ms = read_ms["fastwarc"] + ms["trafilatura"], read_ms["ours"] + ms["rejected"]
    rows: list[Row] = [
        (stock, ms["trafilatura"], f1["trafilatura"], peaks["trafilatura"]),
        (f"{stock}, read", stock_ms, f1["trafilatura"], None),
        (fast, ms["resiliparse"], f1["resiliparse"], peaks["resiliparse"]),
        ("ours, a kept page", ms["kept"], f1["kept"], peaks["kept"]),
        ("ours, a rejected page, read", rejected_ms, None, peaks["rejected"]),
    ]
    speed = {}
    for name, found in whole.items():
        speed[name] = len(pages) / found["seconds"]
        what = f"{name}, whole ({found['kept']} kept)"
        score = _f1(found["texts"], truth) if "texts" in found else None
        rows.append((what, 1000 / speed[name], score, found["peak_memory_bytes"]))
    Console().print(_table(rows))
    measures = {
        "rejected_pages_per_second": (1000 / rejected_ms, 1000 / stock_ms, "pages/s on one core, reading included"),
        "kept_pages_per_second": (1000 / ms["kept"], 1000 / ms["trafilatura"], "pages/s on one core"),
    }
    if len(speed) == 2:
        measures["whole_archive_pages_per_second"] = (speed["kosmos1"], speed[DATATROVE], "pages/s on one core")
    if f1["kept"] is not None and f1["trafilatura"] is not None:
        measures["text_f1"] = (f1["kept"], f1["trafilatura"], f"mean over pages of {SCORED}")
    report("extract", measures)


@contextmanager
def _archives(data: Path | None) -> Iterator[list[str]]:
    if data is not None and (data / "pages.warc.gz").exists():
        yield [str(data / "pages.warc.gz")]
        return
    from tests.sampleweb.web import write_web

    with tempfile.TemporaryDirectory() as folder:
        write_web(Path(folder))
        yield sorted(str(p) for p in Path(folder).glob("pages-*.warc.gz"))


def _truth(data: Path | None) -> dict[str, str]:
    path = data / "pages.truth.jsonl.gz" if data is not None else None
    if path is None or not path.exists():
        return {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {row["url"]: row["text"] or "" for row in map(json.loads, file) if row["source"] == SCORED}


def _f1(texts: dict[str, str], truth: dict[str, str]) -> float | None:
    scores = [text_f1(texts.get(url, ""), wanted) for url, wanted in truth.items()]
    return sum(scores) / len(scores) if scores else None


def _table(rows: list[Row]) -> Table:
    table = Table("engine")
    for title in ("ms a page", "pages/s", "text F1", "peak MB"):
        table.add_column(title, justify="right", no_wrap=True)
    for what, ms, f1, peak in rows:
        memory = "" if peak is None else f"{peak / 1e6:.0f}"
        table.add_row(what, f"{ms:.1f}", f"{1000 / ms:.1f}", "" if f1 is None else f"{f1:.3f}", memory)
    return table


if __name__ == "__main__":
    main()
