"""Time extraction beside stock trafilatura on the same pages: `python -m benchmarks.extract [DATA]`."""

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trafilatura
from rich.progress import track

from benchmarks.gate import MAX_SECONDS
from benchmarks.results import report
from pipeline.extract import extract_page
from pipeline.read import Response, read_archive

MAX_PAGES = 200


def ours(page: Response) -> None:
    """Text, images and captions, as the pipeline does it."""
    extract_page(page.body, page.charset, page.url, MAX_SECONDS)


def stock(page: Response) -> None:
    """Text alone, as trafilatura does it by default."""
    trafilatura.extract(page.body)


def main() -> None:
    """Time both on each page in turn, so that a busy machine slows both alike."""
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    pages = _pages(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    seconds = {ours: 0.0, stock: 0.0}
    for number, page in enumerate(track(pages, "extract")):
        for run in (ours, stock) if number % 2 else (stock, ours):
            seconds[run] += _timed(run, page)
    speed = {run: len(pages) / total for run, total in seconds.items()}
    report("extract", {"kept_pages_per_second": (speed[ours], speed[stock], "pages/s on one core")})


def _pages(data: Path | None) -> list[Response]:
    if data is not None and (data / "pages.warc.gz").exists():
        return _read([str(data / "pages.warc.gz")])
    from sample.web import write_web

    with tempfile.TemporaryDirectory() as folder:
        write_web(Path(folder))
        return _read(sorted(str(p) for p in Path(folder).glob("pages-*.warc.gz")))


def _read(archives: list[str]) -> list[Response]:
    found = [item for a in archives for item in read_archive(a) if isinstance(item, Response)]
    return found[:MAX_PAGES]


def _timed(run: Callable[[Response], None], page: Response) -> float:
    started = time.perf_counter()
    run(page)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
