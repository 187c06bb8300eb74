"""A run's output folder: where each table is, and the manifests and commits by which a step's output comes to exist."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from schemas import renames
from schemas.errors import IntegrityError, PathError
from schemas.integrity import Sum, seal, sum_of, unseal
from schemas.tables import digest

CONFIG = "_config"  # below it, a file for each step, written when it starts: what its output is being made with
DRAFT = "_draft-"  # how the name of a file begins that is not whole yet; the underscore hides it likewise
MANIFEST = "_manifest.json"  # the leading underscore hides it from Spark and pyarrow


@dataclass(frozen=True)
class Manifest:
    """What a finished step did: with which configuration, from which inputs, into which files.

    recipe is the whole of it, resolved; config the part that shaped this output. judged counts what its rules judged:
    by level, or by rule where one judges something else than the others of its level. sums are of the parts of tables;
    those of shards stand in their listing.
    """

    step: str
    recipe: dict[str, Any]
    config: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, list[str]]
    counts: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    judged: dict[str, int] = field(default_factory=dict)
    sums: dict[str, Sum] = field(default_factory=dict)

    def parts(self, table: str) -> list[str]:
        """List the files of a table, also where an earlier release gave it another name."""
        return self.files.get(table, self.files.get(renames.TABLES.get(table, ""), []))

    @property
    def digest(self) -> str:
        """Identify the output for the steps that read it, whatever time it took and whatever else the recipe says."""
        content = {k: v for k, v in asdict(self).items() if k not in ("seconds", "notes", "recipe", "judged", "sums")}
        return digest(json.dumps(content, sort_keys=True))


class Store:
    """The output folder of a run, local or any fsspec address."""

    def __init__(self, root: str) -> None:
        self.fs, path = fsspec.core.url_to_fs(root, use_listings_cache=False)
        self.path = path.rstrip("/")
        self.local = self.fs.protocol == "file" or "file" in self.fs.protocol
        self.root = self.path if self.local else root.rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"])  # type: ignore[misc]

    def at(self, *parts: str) -> str:
        """Return the path of something below the root, as fsspec takes it."""
        return "/".join((self.path, *parts))

    def url(self, *parts: str) -> str:
        """Return the same as an address that Spark takes."""
        if self.local:
            return "file://" + self.at(*parts)
        return "/".join((self.root.replace("s3://", "s3a://", 1), *parts))

    def check_writable(self) -> None:
        """Raise PathError unless the folder exists, or can be made, and takes a file; it is left as it was."""
        was_there = self.fs.exists(self.path)
        probe = self.at(f"_writable-{os.getpid()}")
        try:
            self.fs.makedirs(self.path, exist_ok=True)
            self.fs.pipe_file(probe, b"")
            self.fs.rm_file(probe)
            if self.local and not was_there:
                self.fs.rmdir(self.path)
        except OSError as error:
            raise PathError(f"cannot write to {self.root}: {error.strerror or error}") from error

    def write_json(self, path: str, value: Mapping[str, Any]) -> None:
        """Write JSON, sealed with its own sum, so that it is there whole or not at all."""
        self.write(path, seal(value, sort_keys=True))

    def write(self, path: str, data: bytes) -> None:
        """Write a file so that it is there whole or not at all; two writers of the same bytes may race."""
        if not self.local:  # object stores show a file only when it is complete
            self.fs.pipe_file(path, data)
            return
        with self._draft(path, data) as draft:
            os.replace(draft, path)  # noqa: PTH105

    def create(self, path: str, data: bytes) -> bool:
        """Write a file as `write` does, unless there is one; return whether it was written. One of two writers wins."""
        try:
            if self.local:
                with self._draft(path, data) as draft:
                    os.link(draft, path)  # unlike os.replace, it fails when the name is taken
            else:
                self.fs.pipe_file(path, data, mode="create")
        except OSError:  # s3fs says EINVAL of a name that is taken
            if self.fs.exists(path):
                return False
            raise
        return True

    @contextmanager
    def _draft(self, path: str, data: bytes) -> Iterator[str]:
        """Write a file beside the path, and remove it in the end; threads may draft the same file."""
        folder, name = path.rsplit("/", 1)
        self.fs.makedirs(folder, exist_ok=True)
        draft = f"{folder}/{DRAFT}{uuid.uuid4().hex}-{name}"
        try:
            with open(draft, "wb") as f:  # noqa: PTH123
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            yield draft
        finally:
            with suppress(FileNotFoundError):
                os.unlink(draft)  # noqa: PTH108

    def read_json(self, path: str) -> Any:
        """Read JSON; raises IntegrityError when the file is damaged and FileNotFoundError when it is not there."""
        data = self.fs.cat_file(path)
        try:
            return unseal(data)[0]
        except IntegrityError as error:
            raise IntegrityError(f"{path} is damaged ({error}); run its step again with --overwrite") from error

    def manifest(self, folder: str) -> Manifest | None:
        """Return the manifest of the step whose main output lies in the folder; None when it has not finished."""
        try:
            value = self.read_json(self.at(folder, MANIFEST))
        except FileNotFoundError:
            return None
        try:
            return Manifest(**value)
        except TypeError as error:
            raise IntegrityError(f"{self.at(folder, MANIFEST)} is of another version of Weft: {error}") from error

    def commit(self, folder: str, manifest: Manifest) -> None:
        """Write the manifest: from here on the step's output exists."""
        self.write_json(self.at(folder, MANIFEST), asdict(manifest))

    def documents(self, *folder: str) -> list[str]:
        """List the JSON files of a folder, below the root and sorted; drafts and hidden files are none."""
        place = self.at(*folder)
        paths = self.fs.ls(place, detail=False) if self.fs.exists(place) else []
        names = sorted(path.rsplit("/", 1)[-1] for path in paths)
        return ["/".join((*folder, name)) for name in names if name.endswith(".json") and name[0] not in "_."]

    def sum(self, path: str) -> Sum:
        """Sum a file below the root. Raises: FileNotFoundError."""
        with self.fs.open(self.at(path), "rb") as file:
            return sum_of(file)

    def remove(self, *parts: str) -> None:
        """Remove a file or folder below the root, if it is there."""
        if self.fs.exists(self.at(*parts)):
            self.fs.rm(self.at(*parts), recursive=True)

    def remove_drafts(self) -> None:
        """Remove what was being written when its writer was ended; the run lock must be held, and no task may run."""
        if not self.fs.exists(self.path):
            return
        for folder, folders, files in self.fs.walk(self.path):
            drafts = [name for name in files if name.startswith(DRAFT)]
            # what Spark writes lies in such a folder until its job is done
            unfinished = [name for name in folders if name == "_temporary"]
            for name in (*drafts, *unfinished):
                with suppress(FileNotFoundError):
                    self.fs.rm(f"{folder}/{name}", recursive=True)

    def parts(self, folder: str) -> list[str]:
        """List the Parquet files below a folder, relative to the root, sorted; hidden ones are no parts."""
        found = self.fs.find(self.at(folder)) if self.fs.exists(self.at(folder)) else []
        below = sorted(p[len(self.at(folder)) + 1 :] for p in found if p.endswith(".parquet"))
        return [f"{folder}/{p}" for p in below if not any(s[0] in "_." for s in p.split("/"))]


COMMITS = "_commits"


def read_commits(store: Store) -> dict[str, dict[str, Any]]:
    """Return what was committed of each archive, by the name of its part."""
    found = {path.rsplit("/", 1)[-1].removesuffix(".json"): path for path in store.documents("pages", COMMITS)}
    return {part: store.read_json(store.at(path)) for part, path in found.items()}


def open_file(path: str) -> BinaryIO:
    """Open a local path or an fsspec URL to read. Raises: PathError when it cannot be opened."""
    try:
        file = fsspec.open(path, "rb").open() if "://" in path else Path(path).open("rb")  # noqa: SIM115
    except ImportError as error:
        raise PathError(f"{path}: {error}") from error
    except Exception as error:  # each remote file system raises errors of its own
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise PathError(f"{path}: cannot be opened: {reason}") from error
    return cast(BinaryIO, file)
