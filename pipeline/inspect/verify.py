"""Verify an output against its manifests, checksums and listing: parts and shards in parallel, then the totals."""

import multiprocessing
import signal
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import resource_tracker
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.io.store import COMMITS, CONFIG, MANIFEST, Manifest, Store
from pipeline.shards.stats import locate, read_listing
from pipeline.shards.verify import Checked, Defect, check_shard, key_number
from schemas.display import describe
from schemas.errors import IntegrityError, PathError
from schemas.integrity import FILES, Sum, difference, unseal
from schemas.program import noting
from schemas.shards import CARD, CROISSANT, LISTING, REPORT, TOKENIZER, TOKENIZER_ABOUT, Listing
from schemas.tables import STEPS

TRAINER = "train"  # like TOKENIZER, a value of Defect.step: the command that makes the file again
CHECKPOINTS = "checkpoints"


@dataclass
class Documents:
    """Reads JSON documents, and collects their defects and those that an older release wrote without a checksum."""

    defects: list[Defect] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)

    def read(self, store: Store, path: str, step: str) -> object:
        """Return a document's value; None when it is missing or damaged."""
        try:
            value, sealed = unseal(store.fs.cat_file(store.at(path)))
        except FileNotFoundError:
            return None
        except (IntegrityError, OSError) as error:
            what = str(error) if isinstance(error, IntegrityError) else describe(error, 200)
            self.defects.append(Defect(path, f"has changed since it was written: {what}", step=step))
            return None
        if not sealed:
            self.unsealed.append(path)
        return value


def read_manifests(store: Store, documents: Documents) -> dict[str, Manifest]:
    """Return the manifest of each finished step; also read the steps' configurations and the commits of extract."""
    found = {}
    for step, spec in STEPS.items():
        path = f"{spec.folder}/{MANIFEST}"
        value = documents.read(store, path, step)
        if value is None:
            continue
        try:
            found[step] = Manifest(**value)  # type: ignore[arg-type]
        except TypeError as error:
            documents.defects.append(Defect(path, f"was written by another version of Weft: {error}", step=step))
    for path in store.documents(CONFIG):
        documents.read(store, path, path.rsplit("/", 1)[-1].removesuffix(".json"))
    for path in store.documents(STEPS["extract"].folder, COMMITS):
        documents.read(store, path, "extract")
    return found


def trained_folders(store: Store, everything: bool) -> list[tuple[str, str]]:
    """List folders of tokenizers and weights, each with its kind: those of a run, or all below the root."""
    tops = store.fs.ls(store.path, detail=False) if store.fs.exists(store.path) else []
    names = [top.rstrip("/").rsplit("/", 1)[-1] for top in tops]
    roots = [""] if everything else [n for n in names if n == TOKENIZER or n.startswith(CHECKPOINTS)]
    return [folder for root in roots for folder in _trained_below(store, root)]


def _trained_below(store: Store, root: str) -> Iterator[tuple[str, str]]:
    paths = store.fs.find(store.at(root) if root else store.path)
    files = [path[len(store.path) + 1 :].rpartition("/") for path in paths]
    weights = {d for d, _, name in files if name in (FILES, "state.json") or name.endswith("model.safetensors")}
    tokenizers = {d for d, _, name in files if name == TOKENIZER_ABOUT}
    inside = tuple(f"{folder}/" if folder else "" for folder in weights)
    yield from ((d, TRAINER) for d in sorted(weights) if not d.rpartition("/")[2].startswith("."))
    yield from ((d, TOKENIZER) for d in sorted(tokenizers) if not d.startswith(inside))


def check_trained(root: str, folder: str, kind: str) -> tuple[Documents, int]:
    """Check a folder of a tokenizer or of weights; return its documents' defects and the number of checksums."""
    store, documents = Store(root), Documents()
    name = "/".join(filter(None, (folder, TOKENIZER_ABOUT if kind == TOKENIZER else FILES)))
    value = documents.read(store, name, kind)
    if kind == TRAINER and value is None and not documents.defects:
        documents.unsealed.append(folder or ".")
        return documents, 0
    sums: dict[str, Any] = {}  # for a tokenizer only the SHA-256, as its size is not recorded
    if isinstance(value, dict):
        sums = value.get("files", {}) if kind == TRAINER else {}
        if kind == TOKENIZER and "sha256" in value:
            sums = {"tokenizer.model": {"sha256": value["sha256"]}}
    for file, expected in sums.items():
        path = "/".join(filter(None, (folder, file)))
        try:
            found = store.sum(path)
            if what := difference(found, {**found, **expected}):
                documents.defects.append(Defect(path, what, step=kind))
        except FileNotFoundError:
            documents.defects.append(Defect(path, "is missing", step=kind))
        except OSError as error:
            documents.defects.append(Defect(path, f"cannot be read: {describe(error, 200)}", step=kind))
    return documents, len(sums)


_CRC_MAGIC = b"crc\0"
_CRC_PAGE_BYTES = 4


def check_part(root: str, path: str, step: str, deep: bool, expected: Sum | None) -> tuple[int, list[Defect]]:
    """Return a part's number of rows by its footer, and its defects; if deep, read all its pages.

    expected is the checksum in its manifest; None from an older release, so that only the pages have checksums.
    """
    store = Store(root)
    try:
        if expected and (what := difference(store.sum(path), expected)):
            return 0, [Defect(path, what, step=step)]
        with store.fs.open(store.at(path), "rb") as file:
            part = pq.ParquetFile(file, page_checksum_verification=True)
            num_rows = part.metadata.num_rows
            if deep:
                for _ in part.iter_batches(256):
                    pass
        return num_rows, []
    except FileNotFoundError:
        return 0, [Defect(path, "is missing", step=step)]
    except (OSError, ValueError, pa.ArrowException) as error:
        return 0, [Defect(path, f"cannot be read: {describe(error, 200)}", step=step)]


def check_crc(root: str, path: str, step: str) -> list[Defect]:
    """Return the defects of a checksum file `.NAME.crc`, which Hadoop writes next to a local file and checks.

    It holds "crc", a zero, the chunk size in 4 bytes, and the CRC-32 of each chunk (Hadoop, ChecksumFileSystem).
    """
    store = Store(root)
    try:
        sums = store.fs.cat_file(store.at(path))
        with store.fs.open(store.at(_summed_by(path)), "rb") as file:
            is_valid = sums[:4] == _CRC_MAGIC and sums[4:] == sums[4:8] + _crcs_of_chunks(
                file, int.from_bytes(sums[4:8], "big")
            )
    except (OSError, ValueError) as error:
        return [Defect(path, f"cannot be read: {describe(error, 200)}", step=step)]
    what = "does not match its file, which Spark then refuses to read"
    return [] if is_valid else [Defect(path, what, step=step)]


def _summed_by(crc: str) -> str:
    """Return the file of a Hadoop checksum file."""
    folder, _, name = crc.rpartition("/")
    return f"{folder}/{name[1:].removesuffix('.crc')}"


def _crcs_of_chunks(file: BinaryIO, chunk_bytes: int) -> bytes:
    """Return the CRC-32 of each chunk of a file. Raises: ValueError for a size that Hadoop does not write."""
    if chunk_bytes.bit_count() != 1 or chunk_bytes > 1 << 20:
        raise ValueError(f"chunks of {chunk_bytes} bytes")
    found = bytearray()
    while data := file.read(chunk_bytes * 1024):
        for start in range(0, len(data), chunk_bytes):
            found += zlib.crc32(data[start : start + chunk_bytes]).to_bytes(_CRC_PAGE_BYTES, "big")
    return bytes(found)


Progress = Callable[[int, int], None]  # number of finished files, total number
_BY_COUNT = {"pages": "pages", "captions": "captions", "scores": "scores"}  # table to the step's count of its rows
_BY_SUM = ("images", "documents")  # tables whose rows are the sum of the step's counts


@dataclass
class Report:
    """The result of a verification: defects, notes, and the number of checked items."""

    defects: list[Defect] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class Contents:
    """The contents of a directory that can be checked."""

    output: Store
    run: str  # the directory, "" if it has no run
    manifests: dict[str, Manifest]
    parts: list[tuple[str, str, str]]  # the step, the table and the file of each
    crcs: list[tuple[str, str]]  # Hadoop's checksum files, and the step of each
    trained: list[tuple[str, str]]  # folders of a tokenizer or of weights, and their kind
    listing: Listing | None
    shards: Store
    folder: str  # of the listing, in the store of the shards


def verify_output(directory: str, deep: bool, processes: int, say: Progress = lambda done, of: None) -> Report:
    """Check a run's output, a shards folder, a tokenizer, or weights and checkpoints.

    Args: deep also decodes all samples and reads all pages of tables; `say` is called with the progress.
    Raises: PathError when the directory has none of these.
    """
    documents, report = Documents(), Report()
    found = _find(directory, documents)
    of_parts, of_trained, of_crcs, of_shards = _check_files(found, deep, processes, say)
    rows: Counter[tuple[str, str]] = Counter()
    for (step, table, _), (num_rows, defects) in zip(found.parts, of_parts, strict=True):
        rows[step, table] += num_rows
        report.defects += defects
    for trained, _ in of_trained:
        report.defects += trained.defects
        documents.unsealed += trained.unsealed
    known = {defect.file for defect in report.defects}
    for (path, _), defects in zip(found.crcs, of_crcs, strict=True):
        if _summed_by(path) not in known:
            report.defects += defects
    for shard in of_shards:
        report.defects += shard.defects
    report.defects += documents.defects
    for step, manifest in found.manifests.items():
        report.defects += _miscounted(step, manifest, rows, report.defects)
    if found.listing:
        report.defects += _repeated(found.shards, found.folder, found.listing, of_shards)
        report.notes += _unlisted(found.shards, found.folder, found.listing)
        if "shard" in found.manifests:
            report.defects += _unlike(found.manifests["shard"], found.listing, found.folder)
    report.notes += _without_sums(found.manifests, found.parts, documents.unsealed)
    entries = found.listing["shards"] if found.listing else []
    report.counts = {"tables' files": len(found.parts), "rows": rows.total(), "shards": len(entries),
                     "samples": sum(e["num_samples"] for e in entries)}  # fmt: skip
    if num_files := sum(num for _, num in of_trained):
        report.counts["files of weights and tokenizers"] = num_files
    return report


def _find(directory: str, documents: Documents) -> Contents:
    """Find the contents to check. Raises: PathError when there are none."""
    output = Store(directory)
    manifests = read_manifests(output, documents)
    run = directory if manifests or documents.defects else ""
    listing, shards, folder = _listing(output, documents, "shard" in manifests)
    trained = trained_folders(output, everything=not run and listing is None)
    if not (run or listing or documents.defects or trained):
        raise PathError(f"{directory} has no finished step of a run, no shards, no tokenizer and no weights")
    parts = [(s, t, f) for s, m in manifests.items() for t in sorted(m.files) for f in m.files[t] if t != "shards"]
    crcs = list(_crcs(output, manifests)) if output.local else []
    return Contents(output, run, manifests, parts, crcs, trained, listing, shards, folder)


def _check_files(found: Contents, deep: bool, processes: int, say: Progress) -> list[list[Any]]:
    """Check each file or folder separately; return the results of parts, trained folders, checksums and shards."""
    root, sums = found.output.root, {step: manifest.sums for step, manifest in found.manifests.items()}
    entries = found.listing["shards"] if found.listing else []
    groups: list[list[partial[Any]]] = [
        [partial(check_part, root, file, step, deep, sums[step].get(file)) for step, _, file in found.parts],
        [partial(check_trained, root, folder, kind) for folder, kind in found.trained],
        [partial(check_crc, root, path, step) for path, step in found.crcs],
        [partial(check_shard, found.shards.root, found.folder, found.run, deep, entry) for entry in entries],
    ]
    results = iter(_all([task for group in groups for task in group], processes, say))
    return [list(islice(results, len(group))) for group in groups]


def _listing(output: Store, documents: Documents, is_made: bool) -> tuple[Listing | None, Store, str]:
    """Read the listing of a run's shards, or of a shards folder; it is a defect if it is missing and `is_made`."""
    try:
        store, folder = locate(output.root)
    except PathError:
        if is_made:
            documents.defects.append(Defect(f"shards/{LISTING}", "is missing"))
        return None, output, "shards"
    path = "/".join(filter(None, (folder, LISTING)))
    if documents.read(store, path, "shard") is None:
        return None, store, folder
    try:
        return read_listing(store, folder), store, folder
    except (IntegrityError, PathError) as error:
        documents.defects.append(Defect(path, str(error), step="shard"))
        return None, store, folder


def _crcs(output: Store, manifests: dict[str, Manifest]) -> Iterator[tuple[str, str]]:
    """Yield Hadoop's checksum files of a run's local files, and the step of each."""
    folders = {f.rpartition("/")[0]: step for step, m in manifests.items() for t, fs in m.files.items() for f in fs
               if t != "shards"}  # fmt: skip
    for step in manifests:
        folders |= dict.fromkeys((STEPS[step].folder, f"rejections/{step}"), step)
    for folder, step in sorted((f, s) for f, s in folders.items() if output.fs.exists(output.at(f))):
        names = (path.rsplit("/", 1)[-1] for path in output.fs.ls(output.at(folder), detail=False))
        yield from ((f"{folder}/{name}", step) for name in sorted(names) if name[0] == "." and name.endswith(".crc"))


def _without_sums(
    manifests: dict[str, Manifest], parts: list[tuple[str, str, str]], unsealed: list[str]
) -> Iterator[str]:
    """Yield a note about files that an older release wrote without checksums."""
    num_parts = sum(file not in manifests[step].sums for step, _, file in parts)
    if num_parts or unsealed:
        yield (
            f"an older release wrote no checksums of {num_parts:,} parts of tables, whose footers are not checked, and "
            f"of {len(unsealed):,} manifests, commits, configurations, tokenizers and folders of weights"
        )


def _all(tasks: list[partial[Any]], processes: int, say: Progress) -> list[Any]:
    """Return the results of tasks in order; processes are spawned, not forked, since file systems have threads.

    On KeyboardInterrupt the processes, which only read, are killed. Raises: PathError when a process dies.
    """
    if processes == 1 or len(tasks) < 2:
        found = []
        for number, task in enumerate(tasks):
            say(number, len(tasks))
            found.append(task())
        return found
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(tasks)), mp_context=context) as pool:
        others = multiprocessing.active_children()
        # The processes inherit a blocked SIGINT, which a terminal sends to them too. The resource tracker must already
        # run, since starting it would unblock SIGINT.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        futures: list[Future[Any]] = []
        try:
            # SIGINT is only blocked in this thread; an exception here could interrupt a start. A signal that ends the
            # first processes breaks the pool while tasks are still submitted.
            with noting() as received, suppress(BrokenProcessPool):
                futures.extend(pool.submit(task) for task in tasks)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            if received.number:
                signal.raise_signal(received.number)
            if len(futures) < len(tasks):
                raise BrokenProcessPool
            for done, _ in enumerate(as_completed(futures), 1):
                say(done, len(tasks))
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise PathError(
                "a verification process died, perhaps for lack of memory; --processes 1 needs the least"
            ) from error
        except KeyboardInterrupt:
            for process in set(multiprocessing.active_children()).difference(others):
                process.kill()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _miscounted(step: str, manifest: Manifest, rows: Counter[tuple[str, str]], known: list[Defect]) -> Iterator[Defect]:
    """Yield tables whose number of rows differs from the manifest, unless the step has other defects."""
    if any(defect.step == step for defect in known):
        return
    for table in manifest.files:
        if table == "rejections":
            expected = sum(manifest.rejected.values())
        elif table in _BY_SUM:
            expected = sum(manifest.counts.values())
        elif table in _BY_COUNT:
            expected = manifest.counts.get(_BY_COUNT[table], 0)
        else:
            continue
        if rows[step, table] != expected:
            what = f"holds {rows[step, table]} rows, the manifest of {step} says {expected}"
            yield Defect(f"{table} of {step}", what, step=step)


def _repeated(store: Store, folder: str, listing: Listing, checked: list[Checked]) -> Iterator[Defect]:
    """Yield samples with a duplicate key in their corpus, by 64-bit digests of keys."""
    for corpus in sorted({entry["corpus"] for entry in listing["shards"]}):
        of_corpus = [(e, c) for e, c in zip(listing["shards"], checked, strict=True) if e["corpus"] == corpus]
        values, times = np.unique(np.concatenate([c.keys for _, c in of_corpus]), return_counts=True)
        duplicates = set(values[times > 1].tolist())
        first: dict[str, str] = {}
        for entry, shard in of_corpus:
            if not duplicates or duplicates.isdisjoint(shard.keys.tolist()):
                continue
            with store.fs.open(store.at(*filter(None, (folder, entry["index"]))), "rb") as file:
                keys = pq.read_table(file, columns=["key"])["key"].to_pylist()
            for key in (k for k in keys if key_number(k) in duplicates):
                if key in first:
                    yield Defect("/".join(filter(None, (folder, entry["tar"]))), f"is also in {first[key]}", key)
                first.setdefault(key, entry["tar"])


def _unlisted(store: Store, folder: str, listing: Listing) -> Iterator[str]:
    """Yield a note about unlisted files in the shards folder, which readers without the listing would read."""
    root = store.at(*filter(None, (folder,)))
    named = {LISTING, MANIFEST, CARD, CROISSANT, REPORT} | {
        entry[kind] for entry in listing["shards"] for kind in ("tar", "index")
    }
    unlisted = sorted({path[len(root) + 1 :] for path in store.fs.find(root)} - named)
    if unlisted:
        more = f" and {len(unlisted) - 5} more" if len(unlisted) > 5 else ""
        yield f"the shards folder has files that are not in the listing: {', '.join(unlisted[:5])}{more}"


def _unlike(manifest: Manifest, listing: Listing, folder: str) -> Iterator[Defect]:
    """Yield differences between the manifest of the step and the listing."""
    path, named = f"{folder}/{LISTING}", {f"shards/{e[k]}" for e in listing["shards"] for k in ("tar", "index")}
    if differing := sorted(named ^ set(manifest.files.get("shards", []))):
        yield Defect(path, f"the listing and the manifest name different files: {', '.join(differing[:5])}")
    counted = Counter[str]()
    for entry in listing["shards"]:
        counted[entry["corpus"]] += entry["num_samples"]
    for corpus, number in counted.items():
        if number != (expected := manifest.counts.get(f"{corpus}_samples", 0)):
            yield Defect(path, f"{corpus} has {number} samples, the manifest says {expected}")
