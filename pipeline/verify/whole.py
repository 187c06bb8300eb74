"""All of a run: its parts and shards in parallel, then what only all of them together tell."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.lookup import Lookup
from pipeline.report import NAME as REPORT
from pipeline.stats import locate, read_listing
from pipeline.store import MANIFEST, Manifest, Store
from pipeline.verify.defect import Defect
from pipeline.verify.part import check_part
from pipeline.verify.shard import Checked, check_shard, key_number
from schemas.errors import IntegrityError, PathError
from schemas.shards import CARD, CROISSANT, LISTING, Listing

Say = Callable[[int, int], None]  # how many files are done, of how many
_BY_COUNT = {"pages": "pages", "captions": "captions", "scores": "scores"}  # table to the count that tells its rows
_BY_SUM = ("images", "documents")  # tables of which all counts of the step together tell the rows


@dataclass
class Report:
    """What was looked at, what is wrong, and what is worth a word."""

    defects: list[Defect] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def verify(directory: str, deep: bool, processes: int, say: Say = lambda done, of: None) -> Report:
    """Check a run's output, or a shards folder alone. Raises: PathError when there is neither."""
    try:
        run: Lookup | None = Lookup(directory)
    except PathError:
        run = None
    report = Report()
    tasks: list[partial[Any]] = []
    parts = [(s, t, f) for s, m in (run.manifests if run else {}).items() for t in sorted(m.files) for f in m.files[t]]
    parts = [part for part in parts if part[1] != "shards"]
    if run:
        tasks += [partial(check_part, run.store.root, file, step, deep) for step, _, file in parts]
    listing, store, folder = _listing(directory, run)
    if listing:
        tasks += [
            partial(check_shard, store.root, folder, directory if run else "", deep, entry)
            for entry in listing["shards"]
        ]
    found = _all(tasks, processes, say)
    rows: Counter[tuple[str, str]] = Counter()
    for (step, table, _), (num_rows, defects) in zip(parts, found, strict=False):
        rows[step, table] += num_rows
        report.defects += defects
    checked = found[len(parts) :]
    for shard in checked:
        report.defects += shard.defects
    if run:
        for step, manifest in run.manifests.items():
            report.defects += _miscounted(step, manifest, rows, report.defects)
    if listing:
        report.defects += _repeated(store, folder, listing, checked)
        report.notes += _unlisted(store, folder, listing)
        if run and "shard" in run.manifests:
            report.defects += _unlike(run.manifests["shard"], listing, folder)
    entries = listing["shards"] if listing else []
    report.counts = {"tables' files": len(parts), "rows": rows.total(), "shards": len(entries),
                     "samples": sum(e["num_samples"] for e in entries)}  # fmt: skip
    return report


def _listing(directory: str, run: Lookup | None) -> tuple[Listing | None, Store, str]:
    try:
        store, folder = locate(directory)
    except PathError:
        if run is None:
            raise
        if "shard" in run.manifests:
            raise IntegrityError(
                f"{directory}/shards/{LISTING} is not there; `weft shard --output {directory} --overwrite` makes it"
            ) from None
        return None, run.store, "shards"
    return read_listing(store, folder), store, folder


def _all(tasks: list[partial[Any]], processes: int, say: Say) -> list[Any]:
    """Return what each task returns, in their order; new processes are started whole, since file systems have threads.

    Raises: PathError when a process dies.
    """
    if processes == 1 or len(tasks) < 2:
        found = []
        for number, task in enumerate(tasks):
            say(number, len(tasks))
            found.append(task())
        return found
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(tasks)), mp_context=context) as pool:
        futures: list[Future[Any]] = [pool.submit(task) for task in tasks]
        try:
            for done, _ in enumerate(as_completed(futures), 1):
                say(done, len(tasks))
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise PathError("a process of the check died, perhaps for memory; --processes 1 takes the least") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _miscounted(step: str, manifest: Manifest, rows: Counter[tuple[str, str]], known: list[Defect]) -> Iterator[Defect]:
    """Yield tables whose rows are not as many as the manifest says, where no part of the step is known to be bad."""
    if any(defect.step == step for defect in known):
        return
    for table in manifest.files:
        if table == "rejections":
            said = sum(manifest.rejected.values())
        elif table in _BY_SUM:
            said = sum(manifest.counts.values())
        elif table in _BY_COUNT:
            said = manifest.counts.get(_BY_COUNT[table], 0)
        else:
            continue
        if rows[step, table] != said:
            told = f"holds {rows[step, table]} rows, the manifest of {step} says {said}"
            yield Defect(f"{table} of {step}", told, step=step)


def _repeated(store: Store, folder: str, listing: Listing, checked: list[Checked]) -> Iterator[Defect]:
    """Yield samples whose key another sample of the corpus has; a key's digest is kept in 8 bytes."""
    for corpus in sorted({entry["corpus"] for entry in listing["shards"]}):
        of_corpus = [(e, c) for e, c in zip(listing["shards"], checked, strict=True) if e["corpus"] == corpus]
        values, times = np.unique(np.concatenate([c.keys for _, c in of_corpus]), return_counts=True)
        twice = set(values[times > 1].tolist())
        first: dict[str, str] = {}
        for entry, shard in of_corpus:
            if not twice or twice.isdisjoint(shard.keys.tolist()):
                continue
            with store.fs.open(store.at(*filter(None, (folder, entry["index"]))), "rb") as file:
                keys = pq.read_table(file, columns=["key"])["key"].to_pylist()
            for key in (k for k in keys if key_number(k) in twice):
                if key in first:
                    yield Defect("/".join(filter(None, (folder, entry["tar"]))), f"stands in {first[key]} too", key)
                first.setdefault(key, entry["tar"])


def _unlisted(store: Store, folder: str, listing: Listing) -> Iterator[str]:
    """Say which files beside the shards nothing names: readers of the listing do not see them, others would."""
    root = store.at(*filter(None, (folder,)))
    named = {LISTING, MANIFEST, CARD, CROISSANT, REPORT} | {
        entry[kind] for entry in listing["shards"] for kind in ("tar", "index")
    }
    strange = sorted({path[len(root) + 1 :] for path in store.fs.find(root)} - named)
    if strange:
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        yield f"beside the shards lies what the listing does not name: {', '.join(strange[:5])}{more}"


def _unlike(manifest: Manifest, listing: Listing, folder: str) -> Iterator[Defect]:
    """Yield how the manifest of the step and the listing differ."""
    path, named = f"{folder}/{LISTING}", {f"shards/{e[k]}" for e in listing["shards"] for k in ("tar", "index")}
    if differing := sorted(named ^ set(manifest.files.get("shards", []))):
        yield Defect(path, f"it and the manifest do not name the same files: {', '.join(differing[:5])}")
    counted = Counter[str]()
    for entry in listing["shards"]:
        counted[entry["corpus"]] += entry["num_samples"]
    for corpus, number in counted.items():
        if number != (said := manifest.counts.get(f"{corpus}_samples", 0)):
            yield Defect(path, f"{corpus} has {number} samples, the manifest says {said}")
