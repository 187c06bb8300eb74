"""Compare near-duplicate texts with datatrove's MinHash, on one core: `python -m benchmarks.dedup [DATA] [--growth]`.

20,000 documents: passages of DATA/pages.warc.gz, each with copies of 0 to 10 % of edited words, or of a vocabulary of
our own making where there are no pages. Both have the same parameters. --growth then takes 20,000, 80,000 and 320,000
documents of words drawn by chance, and 200,000 pages of one template: equal ones, and ones that differ in a word.
"""

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.dedup_corpus import EDIT_RATES, PASSAGE_WORDS, drawn, invented, passages, planted, recall, write
from benchmarks.peers import datatrove_dedup
from benchmarks.peers.environment import python_with
from benchmarks.results import report
from benchmarks.whole_archive import measure

NUM_DOCUMENTS = 20_000
GROWTH = (20_000, 80_000, 320_000)
NUM_SPAM = 200_000
ROUNDS = 2  # ours and the peer in turn; the faster one counts, as others use the machine
COPIES = 1 + len(EDIT_RATES)


def main() -> None:
    """Plant and find duplicates, print and store the ratios."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # what is started from here inherits it
    arguments = [argument for argument in sys.argv[1:] if argument != "--growth"]
    random = np.random.default_rng(0)
    archive = Path(arguments[0]) / "pages.warc.gz" if arguments else None
    num_originals = -(-NUM_DOCUMENTS // COPIES)
    if archive is not None and archive.exists():
        originals = passages(archive)[:num_originals]
        vocabulary = [word for words in originals for word in words]
    else:
        vocabulary = invented(random)
        originals = drawn(num_originals, vocabulary, random)
    side_by_side(list(planted(originals, random)))
    if "--growth" in sys.argv:
        growth(vocabulary, random)


def side_by_side(documents: list[tuple[str, str]]) -> None:
    """Compare with the peer on the same documents."""
    peer_python = python_with("datatrove-dedup", datatrove_dedup.REQUIREMENTS)
    with tempfile.TemporaryDirectory() as folder:
        write(documents, Path(folder))
        ours, peer = {}, {}
        for _ in range(ROUNDS):
            ours = _faster(ours, measure(sys.executable, "benchmarks.dedup_ours", folder))
            if peer_python:
                peer = _faster(peer, measure(peer_python, "benchmarks.peers.datatrove_dedup", folder))
    rates = (f"{rate:.0%}" for rate in EDIT_RATES)
    table = Table("", "signed", "whole", *rates, "false", title="documents/s, recall by words edited, false merges")
    recalls = {}
    for name, found in (("ours", ours), (f"datatrove {datatrove_dedup.VERSION}", peer)):
        if found:
            recalls[name], strangers = recall(found["clusters"], (i for i, _ in documents))
            found["documents_per_second"] = len(documents) / found["seconds"]
            speeds = (f"{found[speed]:,.0f}" for speed in ("signatures_per_second", "documents_per_second"))
            table.add_row(name, *speeds, *(f"{r:.1%}" for r in recalls[name]), str(strangers))
    Console().print(table)
    print(f"{len(documents):,} documents; ours {_told(ours)}; peer {peer.get('peak_memory_bytes', 0) / 1e6:.0f} MB")
    if peer:
        measures = {
            speed: (ours[speed], peer[speed], "documents/s on one core")
            for speed in ("signatures_per_second", "documents_per_second")
        }
        for rate, mine, theirs in zip(EDIT_RATES, *recalls.values(), strict=True):
            measures[f"recall_{rate:.0%}".replace("%", "_percent")] = (mine, theirs, "of the copies, by words edited")
        report("dedup", measures)


def growth(vocabulary: list[str], random: np.random.Generator) -> None:
    """Measure how time and memory grow with the documents, and the cost of a template on many pages."""
    for number in GROWTH:
        originals = drawn(number // COPIES, vocabulary, random)
        _alone(f"{number:,} documents", planted(originals, random))
    template = drawn(1, vocabulary, random)[0]
    _alone(f"{NUM_SPAM:,} equal pages", ((str(i), " ".join(template)) for i in range(NUM_SPAM)))
    pages = ((str(i), " ".join([*template[:100], f"word{_letters(i)}", *template[100:]])) for i in range(NUM_SPAM))
    _alone(f"{NUM_SPAM:,} pages that differ in a word of {PASSAGE_WORDS}", pages)


def _faster(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the second of two rounds with the better speeds of both rounds."""
    if not one or not other:
        return one or other
    signed = max(one["signatures_per_second"], other["signatures_per_second"])
    return other | {"seconds": min(one["seconds"], other["seconds"]), "signatures_per_second": signed}


def _alone(what: str, documents: Iterable[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        number = write(documents, Path(folder))
        found = measure(sys.executable, "benchmarks.dedup_ours", folder)
    print(f"{what}: {found['seconds'] / number * 1e6:.0f} µs a document, {_told(found)}", flush=True)


def _told(found: dict[str, Any]) -> str:
    clusters = found["clusters"]
    return (
        f"{found['seconds']:.1f} s after Spark's start of {found['start_seconds']:.1f} s, "
        f"{len(clusters):,} in {len(set(clusters.values())):,} clusters; "
        f"largest worker {found['worker_bytes'] / 1e6:.0f} MB, Java {found['java_bytes'] / 1e6:.0f} MB"
    )


def _letters(number: int) -> str:
    """Write a number in letters, because digits are normalised away."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


if __name__ == "__main__":
    main()
