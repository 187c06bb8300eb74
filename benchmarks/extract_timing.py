"""Time readers and extractors in turn, so that a busy machine slows all equally."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastwarc import ArchiveIterator, WarcRecordType
from rich.console import Console
from rich.progress import track

from benchmarks.extract_engines import ENGINES, text_of
from benchmarks.peers import datatrove_extract
from benchmarks.peers.environment import python_with
from benchmarks.whole_archive import measure
from pipeline.warc.responses import Response, read_archive

ROUNDS = 2  # of whole archives; pages are many, and need one
DATATROVE = f"datatrove {datatrove_extract.VERSION}"
progress = Console(stderr=True)


def reading(archives: list[str]) -> tuple[list[Response], dict[str, float]]:
    """Return the pages of some archives, and the milliseconds per page of Weft and FastWARC to read them."""

    def ours() -> list[Response]:
        return [item for a in archives for item in read_archive(a) if isinstance(item, Response)]

    def fastwarc() -> None:
        for archive in archives:
            with Path(archive).open("rb") as file:
                for record in ArchiveIterator(file, record_types=WarcRecordType.response):
                    record.reader.read()

    pages = ours()
    seconds = {"ours": 0.0, "fastwarc": 0.0}
    for _ in track(range(ROUNDS), "read", console=progress):
        seconds["ours"] += _timed(ours)
        seconds["fastwarc"] += _timed(fastwarc)
    return pages, {name: 1000 * total / ROUNDS / len(pages) for name, total in seconds.items()}


def page_by_page(pages: list[Response]) -> tuple[dict[str, float], dict[str, dict[str, str]]]:
    """Return the milliseconds per page of each engine, and its texts by address."""
    engines = {name: prepare() for name, prepare in ENGINES.items()}
    names = list(engines)
    for engine in engines.values():
        text_of(engine, pages[0])  # models are loaded on first use
    seconds = dict.fromkeys(names, 0.0)
    texts: dict[str, dict[str, str]] = {name: {} for name in names}
    for number, page in enumerate(track(pages, "page by page", console=progress)):
        first = number % len(names)  # whoever comes first finds the page's bytes far from the processor
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            text = text_of(engines[name], page)
            seconds[name] += time.perf_counter() - started
            texts[name][page.url] = text
    return {name: 1000 * total / len(pages) for name, total in seconds.items()}, texts


def whole_archives(archives: list[str]) -> dict[str, dict[str, Any]]:
    """Return what `measure` found for the extract step with kosmos1 and, if available, for datatrove."""
    commands = {"kosmos1": (sys.executable, "benchmarks.whole_archive", "kosmos1", *archives)}
    if python := python_with("datatrove", datatrove_extract.REQUIREMENTS):
        commands[DATATROVE] = (python, datatrove_extract.__name__, *archives)
    rounds = [
        (name, measure(*commands[name])) for name in track(list(commands) * ROUNDS, "whole archives", console=progress)
    ]
    found = {name: result for name, result in rounds if result}
    for name, result in found.items():
        taken = [r["seconds"] for n, r in rounds if n == name and r]
        result["seconds"] = sum(taken) / len(taken)
    return found


def peak_memory(archives: list[str]) -> dict[str, int | None]:
    """Return the peak memory, in bytes, of a process in which one engine reads and extracts the archives."""
    return {
        name: measure(sys.executable, "benchmarks.whole_archive", name, *archives).get("peak_memory_bytes")
        for name in track(list(ENGINES), "peak memory", console=progress)
    }


def _timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
