"""One shard: its tar, its index and its entry in the listing agree."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from pipeline.store import Store
from pipeline.verify.compare import differing
from pipeline.verify.defect import Defect
from pipeline.verify.sample import faults
from pipeline.verify.tar import Tape, walk
from schemas.display import describe
from schemas.errors import IntegrityError
from schemas.shards import ShardEntry, parse_index


@dataclass
class Checked:
    """What was found of one shard; keys are 64 bits of the digest of each sample's key."""

    defects: list[Defect] = field(default_factory=list)
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))


def check_shard(root: str, folder: str, run: str, deep: bool, entry: ShardEntry) -> Checked:
    """Check a shard of the listing in a folder below a root; run is the output that it belongs to, '' where unknown.

    Unless deep, samples are looked at only where the tar's SHA-256 is not that of the listing.
    """
    store, found = Store(root), Checked()
    tar, index = ("/".join(filter(None, (folder, entry[kind]))) for kind in ("tar", "index"))
    rows = _rows(store, index, entry, found)
    found.keys = np.array([key_number(row["key"]) for row in rows or []], np.uint64)
    if found.defects:
        rows = None  # an index that is not as it was written leads nowhere
    elif rows is not None:
        _count(entry, rows, index, found)
    try:
        for key, what in _tar_faults(store, tar, entry, rows, run, deep):
            found.defects.append(Defect(tar, what, key))
    except (OSError, ValueError) as error:
        found.defects.append(Defect(tar, f"cannot be read: {describe(error, 200)}"))
    return found


def key_number(key: str) -> int:
    """Return 64 bits by which keys are told apart."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())


def _rows(store: Store, path: str, entry: ShardEntry, found: Checked) -> list[dict[str, Any]] | None:
    """Read an index; None when it cannot be."""
    try:
        data = store.fs.cat_file(store.at(path))
        if hashlib.sha256(data).hexdigest() != entry["index_sha256"]:
            found.defects.append(Defect(path, "is not as it was written: its SHA-256 is not the listing's"))
        rows: list[dict[str, Any]] = parse_index(data, entry).to_pylist()
    except (OSError, IntegrityError) as error:
        found.defects.append(Defect(path, f"cannot be read: {describe(error, 200)}"))
        return None
    return rows


def _count(entry: ShardEntry, rows: list[dict[str, Any]], path: str, found: Checked) -> None:
    num_images = sum(len(row["widths"]) for row in rows)
    said = entry["num_samples"], entry["num_images"]
    if said != (len(rows), num_images):
        told = f"holds {len(rows)} samples and {num_images} images, the listing says {said[0]} and {said[1]}"
        found.defects.append(Defect(path, told))


def _tar_faults(
    store: Store, path: str, entry: ShardEntry, rows: list[dict[str, Any]] | None, run: str, deep: bool
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a tar, by the key of the sample or ''."""
    look = deep
    while True:
        with store.fs.open(store.at(path), "rb") as file:
            tape = Tape(file)
            said = 0
            if look and rows is not None:
                for fault in walk(tape, rows, partial(faults, entry["corpus"])):
                    said += 1
                    yield fault
            for _ in tape.rest():
                pass
        same = (tape.position, tape.sha256.hexdigest()) == (entry["num_bytes"], entry["sha256"])
        if same or look or rows is None:
            break
        look = True
    if same:
        return
    if not said and rows is not None and run:
        for fault in differing(store, path, rows, run):
            said += 1
            yield fault
    if not said:
        told = f"{tape.position} bytes with another SHA-256 than the listing's"
        yield "", f"is not as it was written: {told}" + ("" if rows is None else "; each sample is sound in form")
