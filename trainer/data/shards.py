"""The shards of a listing, with instruction files as one more corpus."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from schemas.errors import IntegrityError, PathError, RecipeError
from schemas.integrity import parse_json
from schemas.shards import LISTING, TRAIN, parse_listing
from schemas.storage import file_system
from schemas.tables import CORPORA, digest
from trainer.data.corpus import Corpus, Files, LostSamples, Sample

INSTRUCT = "instruct"
_MALFORMED = (IntegrityError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class Instruction:
    """An instruction, with its input, and the output."""

    prompt: str
    output: str


class Instructions:
    """The examples of instruction files, shuffled. Streams read them like a `Corpus` without images."""

    name = INSTRUCT

    def __init__(self, paths: Sequence[str]) -> None:
        """Index every example. A malformed line counts as one example, and is skipped with a message when it is read.

        Raises: PathError when a file is missing; RecipeError when one holds no instruction.
        """
        self._files = [_open_file(path) for path in paths]
        rows, sums = array("q"), []
        for file, (files, name) in enumerate(self._files):
            data, num_read = files.read(name), 0
            for line, start, end in _lines(data):
                examples = _examples_or_none(data[start:end])
                num_read += len(examples)
                for number in range(max(1, len(examples))):
                    rows.extend((file, line, number, start, end))
            if not num_read:
                raise RecipeError(f"{paths[file]} has no line with an instruction and its output (docs/training.md)")
            sums.append(hashlib.sha256(data).hexdigest())
        self.fingerprint = digest(INSTRUCT, *sums)
        rows_N5 = np.frombuffer(rows, np.int64).reshape(-1, 5)  # file, line, example of the line, first byte, end
        # shuffled, since a stream owns neighbouring examples, which are of one file
        self._rows_N5 = rows_N5[np.random.default_rng(int(self.fingerprint, 16)).permutation(len(rows_N5))]

    def __len__(self) -> int:
        return len(self._rows_N5)

    def samples(self, first: int, end: int) -> list[Sample | None]:
        """Look examples up, without reading them."""
        return [
            Sample(f"{self._files[file][1]}, line {line}", str(file), {str(number): (start, stop - start)})
            for file, line, number, start, stop in self._rows_N5[first:end].tolist()
        ]

    def bodies(self, samples: Sequence[Sample]) -> list[bytes | None]:
        """Read the lines of examples. Raises: PathError, TransientError as `Files.ranges`."""
        found: list[bytes | None] = []
        for sample in samples:
            files, name = self._files[int(sample.tar)]
            ((start, size),) = sample.members.values()
            found += files.ranges([(name, start, start + size)])
        return found

    def read(self, members: Sequence[tuple[Sample, str]]) -> list[bytes | None]:
        """Return None for each member: an instruction has no images."""
        return [None for _ in members]

    def example(self, sample: Sample, body: bytes | None) -> Instruction:
        """Return the example of a sample.

        Raises: IntegrityError that names file and line when it is malformed.
        """
        ((number, _),) = sample.members.items()
        try:
            return _examples(body or b"")[int(number)]
        except (*_MALFORMED, IndexError) as error:
            cause = error if isinstance(error, IntegrityError) else repr(error)[:200]
            raise IntegrityError(f"{sample.key} is no instruction: {cause}") from error


def _open_file(path: str) -> tuple[Files, str]:
    if path.endswith((".gz", ".zip", ".xz", ".zst", ".bz2")):
        raise RecipeError(f"{path} is compressed, but lines are read by byte ranges; unpack it first")
    folder, _, name = path.rpartition("/")
    return Files(folder or "."), name


def _lines(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the number, start and end of each line that is not blank."""
    start, line = 0, 0
    while start < len(data):
        end, line = data.find(b"\n", start), line + 1
        end = len(data) if end < 0 else end
        if data[start:end].strip():
            yield line, start, end
        start = end + 1


def _examples_or_none(line: bytes) -> list[Instruction]:
    try:
        return _examples(line)
    except _MALFORMED:
        return []


def _examples(line: bytes) -> list[Instruction]:
    """Read a line of any supported form. Raises: one of _MALFORMED when it has no such form."""
    fields: dict[str, Any] = parse_json(line, "the line")
    if "instances" in fields:
        instances = [*fields["instances"], *(fields.get("reformulations") or ())]
        return [_checked(one["instruction_with_input"], one["output"]) for one in instances]
    if "targets" in fields:
        return [_checked(fields["inputs"], fields["targets"])]
    prompt = "\n".join(filter(None, (fields["instruction"].strip(), (fields.get("input") or "").strip())))
    return [_checked(prompt, fields["output"])]


def _checked(prompt: str, output: str) -> Instruction:
    if not prompt.strip() or not output.strip():
        raise ValueError("the instruction or its output is empty")
    return Instruction(prompt, output)


Readable = Corpus | Instructions


@dataclass(frozen=True)
class Shards:
    """All shards of one split, with instructions."""

    root: str
    corpora: dict[str, Corpus]
    fingerprint: str
    """Digest of the SHA-256 sums of all shards, missing ones included; independent of their location."""
    lost: list[LostSamples]
    """What is missing when the shards are opened; every process leaves out the same samples."""
    instructions: Instructions | None = None

    @property
    def readable(self) -> dict[str, Readable]:
        """All corpora by name, instructions included."""
        return {**self.corpora, **({} if self.instructions is None else {INSTRUCT: self.instructions})}


def with_instructions(shards: Shards, paths: Sequence[str]) -> Shards:
    """Return the shards with instruction files as one more corpus. Raises: as `Instructions`."""
    if not paths:
        return shards
    instructions = Instructions(paths)
    fingerprint = digest(shards.fingerprint, instructions.fingerprint)
    return replace(shards, instructions=instructions, fingerprint=fingerprint)


def shards_folder(data: str) -> str:
    """Return the folder of the shards: `data` itself, or `data/shards` when `data` is what a run wrote.

    Raises: PathError when neither holds a listing.
    """
    for folder in (data.rstrip("/"), f"{data.rstrip('/')}/shards"):
        fs, path = file_system(f"{folder}/{LISTING}")
        if fs.exists(path):
            return folder
    raise PathError(f"no {LISTING} in {data} or {data}/shards; name a run's output folder or its shards folder")


def default_folder(data: str, name: str) -> str:
    """Return the default folder of the tokenizer or the checkpoints: NAME in the run's folder, next to the shards.

    Raises: PathError when `data` is neither a run's output folder nor its shards folder.
    """
    parent, _, _ = shards_folder(data).rpartition("/")
    return f"{parent or '.'}/{name}"


def open_shards(data: str, split: str = TRAIN, on_missing: Literal["stop", "skip"] = "stop") -> Shards:
    """Read the listing of the shards in a run's output folder or a shards folder, a local path or an fsspec URL.

    With `skip`, missing shards and the samples after the end of truncated ones are left out.

    Raises: PathError when there is none, or a link leads out of the folder; IntegrityError when it is damaged or has
        another version, or a shard is missing or truncated and `on_missing` is "stop".
    """
    folder = shards_folder(data)
    files = Files(folder)
    listing = parse_listing(files.read(LISTING), f"{folder}/{LISTING}")
    entries = [e for e in listing["shards"] if e["split"] == split]
    corpora = {name: Corpus(files, name, [e for e in entries if e["corpus"] == name]) for name in CORPORA}
    sizes = files.sizes([e[kind] for e in entries for kind in ("tar", "index")])
    lost = [one for corpus in corpora.values() for one in corpus.leave_out_missing(sizes)]
    if lost and on_missing == "stop":
        more = f" (and {len(lost) - 1} more)" * (len(lost) > 1)
        raise IntegrityError(
            f"{folder}: {lost[0].reason}{more}; copy the shards again, or continue without them: data.on_missing=skip"
        )
    return Shards(folder, corpora, digest(*(e["sha256"] for e in entries)), lost)
