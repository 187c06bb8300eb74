"""The shards under one listing, local or behind an fsspec URL, and whether all of them are there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fsspec.core import url_to_fs

from schemas.errors import IntegrityError, PathError
from schemas.ids import digest
from schemas.shards import LISTING, TRAIN, parse_listing
from schemas.tables import CORPORA
from trainer.data.corpus import Corpus, Lost
from trainer.data.instructions import INSTRUCT, Instructions
from trainer.data.reading import Files

Readable = Corpus | Instructions


@dataclass(frozen=True)
class Shards:
    """All shards of one split, and instructions beside them."""

    root: str
    corpora: dict[str, Corpus]
    fingerprint: str
    """Digest of every shard's SHA-256 sum: the same wherever the same shards lie, lost or not."""
    lost: list[Lost]
    """Shards that are missing or cut, all judged when they are opened: every process leaves out the same samples."""
    instructions: Instructions | None = None

    @property
    def readable(self) -> dict[str, Readable]:
        """All corpora by name, instructions among them."""
        return {**self.corpora, **({} if self.instructions is None else {INSTRUCT: self.instructions})}


def with_instructions(shards: Shards, paths: Sequence[str]) -> Shards:
    """Return the shards with instructions as a corpus beside theirs. Raises: as `Instructions`."""
    if not paths:
        return shards
    instructions = Instructions(paths)
    fingerprint = digest(shards.fingerprint, instructions.fingerprint)
    return replace(shards, instructions=instructions, fingerprint=fingerprint)


def find(data: str) -> str:
    """Return the folder of the shards: `data` itself, or `data/shards` when `data` is what a run wrote.

    Raises: PathError when neither holds a listing.
    """
    for folder in (data.rstrip("/"), f"{data.rstrip('/')}/shards"):
        fs, path = url_to_fs(f"{folder}/{LISTING}")
        if fs.exists(path):
            return folder
    raise PathError(f"no {LISTING} in {data} or {data}/shards; give a run's output folder or its shards folder")


def beside(data: str, name: str) -> str:
    """Return the default place of the tokenizer or the checkpoints: NAME in the run's folder, next to the shards.

    Raises: PathError when `data` is neither a run's output folder nor its shards folder.
    """
    parent, _, _ = find(data).rpartition("/")
    return f"{parent or '.'}/{name}"


def open_shards(data: str, split: str = TRAIN, on_missing: Literal["stop", "skip"] = "stop") -> Shards:
    """Read the listing of the shards in a run's output folder or a shards folder, a local path or an fsspec URL.

    With `skip`, a shard that is missing is left out, and of one that was cut what lies behind the cut.

    Raises: PathError when there is none, or a link leads out of the folder; IntegrityError when it is damaged or of
        another version, or a shard is missing or cut and `on_missing` is "stop".
    """
    folder = find(data)
    files = Files(folder)
    listing = parse_listing(files.read(LISTING), f"{folder}/{LISTING}")
    entries = [e for e in listing["shards"] if e["split"] == split]
    corpora = {name: Corpus(files, name, [e for e in entries if e["corpus"] == name]) for name in CORPORA}
    sizes = files.sizes([e[kind] for e in entries for kind in ("tar", "index")])
    lost = [one for corpus in corpora.values() for one in corpus.lose(sizes)]
    if lost and on_missing == "stop":
        more = f" (and {len(lost) - 1} more)" * (len(lost) > 1)
        raise IntegrityError(
            f"{folder}: {lost[0].reason}{more}; copy the shards again, or go on without by data.on_missing=skip"
        )
    return Shards(folder, corpora, digest(*(e["sha256"] for e in entries)), lost)
