"""A run's output folder: paths, atomic files, and the manifests and commits of steps."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline.io.remote import RemoteFile
from schemas import renames
from schemas.errors import IntegrityError, PathError, WeftError
from schemas.integrity import Sum, seal, sum_of, unseal
from schemas.storage import file_system
from schemas.tables import digest

CONFIG = "_config"  # folder with a file per step, written when it starts: the configuration of its output
DRAFT = "_draft-"  # prefix of incomplete files; the underscore hides them too
MANIFEST = "_manifest.json"  # the leading underscore hides it from Spark and pyarrow


@dataclass(frozen=True)
class Manifest:
    """A finished step: its configuration, inputs and output files.

    recipe: the complete resolved recipe
    config: the sections that affect this output
    judged: the number of items that its rules checked, by level, or by rule if it differs from its level
    sums:   checksums of the parts of tables; those of shards are in their listing
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
        """Hash that identifies the output for later steps, without run time and the rest of the recipe."""
        content = {k: v for k, v in asdict(self).items() if k not in ("seconds", "notes", "recipe", "judged", "sums")}
        return digest(json.dumps(content, sort_keys=True))


class Store:
    """The output folder of a run: a local path or an fsspec URL."""

    def __init__(self, root: str) -> None:
        self.fs, path = file_system(root, use_listings_cache=False)
        self.path = path.rstrip("/")
        self.local = self.fs.protocol == "file" or "file" in self.fs.protocol
        self.root = self.path if self.local else root.rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"])  # type: ignore[misc]

    def at(self, *parts: str) -> str:
        """Return the path below the root for fsspec."""
        return "/".join((self.path, *parts))

    def url(self, *parts: str) -> str:
        """Return the URL below the root for Spark."""
        if self.local:
            return "file://" + self.at(*parts)
        return "/".join((self.root.replace("s3://", "s3a://", 1), *parts))

    def check_writable(self) -> None:
        """Raise PathError unless the folder exists or can be created, and is writable; leaves it unchanged."""
        existed = self.fs.exists(self.path)
        probe = self.at(f"_writable-{os.getpid()}")
        try:
            self.fs.makedirs(self.path, exist_ok=True)
            self.fs.pipe_file(probe, b"")
            self.fs.rm_file(probe)
            if self.local and not existed:
                self.fs.rmdir(self.path)
        except OSError as error:
            raise PathError(f"cannot write to {self.root}: {error.strerror or error}") from error

    def write_json(self, path: str, value: Mapping[str, Any]) -> None:
        """Write sealed JSON atomically."""
        self.write(path, seal(value, sort_keys=True))

    def write(self, path: str, data: bytes) -> None:
        """Write a file atomically; two writers of the same bytes may race."""
        if not self.local:  # object stores only show complete files
            self.fs.pipe_file(path, data)
            return
        with self._draft(path, data) as draft:
            os.replace(draft, path)  # noqa: PTH105

    def create(self, path: str, data: bytes) -> bool:
        """Write a file atomically unless it exists; return whether it was written. Only one of two writers succeeds."""
        try:
            if self.local:
                with self._draft(path, data) as draft:
                    os.link(draft, path)  # unlike os.replace, it fails if the file exists
            else:
                self.fs.pipe_file(path, data, mode="create")
        except OSError:  # s3fs raises EINVAL if the file exists
            if self.fs.exists(path):
                return False
            raise
        return True

    @contextmanager
    def _draft(self, path: str, data: bytes) -> Iterator[str]:
        """Write a draft of a file in its folder, and remove it after the block; threads may draft the same file."""
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
        """Read JSON. Raises: IntegrityError when the file is damaged, FileNotFoundError when it does not exist."""
        data = self.fs.cat_file(path)
        try:
            return unseal(data)[0]
        except IntegrityError as error:
            raise IntegrityError(f"{path} is damaged ({error}); run its step again with --overwrite") from error

    def manifest(self, folder: str) -> Manifest | None:
        """Return the manifest in a step's folder; None when the step has not finished. Raises: IntegrityError."""
        try:
            value = self.read_json(self.at(folder, MANIFEST))
        except FileNotFoundError:
            return None
        try:
            return Manifest(**value)
        except TypeError as error:
            raise IntegrityError(
                f"{self.at(folder, MANIFEST)} was written by another version of Weft: {error}"
            ) from error

    def commit(self, folder: str, manifest: Manifest) -> None:
        """Write the manifest, which makes the step's output exist."""
        self.write_json(self.at(folder, MANIFEST), asdict(manifest))

    def documents(self, *folder: str) -> list[str]:
        """List the JSON files in a folder, relative to the root and sorted, without drafts and hidden files."""
        place = self.at(*folder)
        paths = self.fs.ls(place, detail=False) if self.fs.exists(place) else []
        names = sorted(path.rsplit("/", 1)[-1] for path in paths)
        return ["/".join((*folder, name)) for name in names if name.endswith(".json") and name[0] not in "_."]

    def sum(self, path: str) -> Sum:
        """Return the checksum of a file below the root. Raises: FileNotFoundError."""
        with self.fs.open(self.at(path), "rb") as file:
            return sum_of(file)

    def remove(self, *parts: str) -> None:
        """Remove a file or folder below the root, if it exists."""
        if self.fs.exists(self.at(*parts)):
            self.fs.rm(self.at(*parts), recursive=True)

    def remove_drafts(self) -> None:
        """Remove incomplete files of killed writers; requires the run lock and no running tasks."""
        if not self.fs.exists(self.path):
            return
        for folder, folders, files in self.fs.walk(self.path):
            drafts = [name for name in files if name.startswith(DRAFT)]
            # Spark's output is in such a folder until its job is done
            unfinished = [name for name in folders if name == "_temporary"]
            for name in (*drafts, *unfinished):
                with suppress(FileNotFoundError):
                    self.fs.rm(f"{folder}/{name}", recursive=True)

    def parts(self, folder: str) -> list[str]:
        """List the Parquet files below a folder, relative to the root and sorted, without hidden ones."""
        found = self.fs.find(self.at(folder)) if self.fs.exists(self.at(folder)) else []
        below = sorted(p[len(self.at(folder)) + 1 :] for p in found if p.endswith(".parquet"))
        return [f"{folder}/{p}" for p in below if not any(s[0] in "_." for s in p.split("/"))]


COMMITS = "_commits"


def read_commits(store: Store) -> dict[str, dict[str, Any]]:
    """Return the commits of archives, by the name of their part."""
    found = {path.rsplit("/", 1)[-1].removesuffix(".json"): path for path in store.documents("pages", COMMITS)}
    return {part: store.read_json(store.at(path)) for part, path in found.items()}


def open_file(path: str) -> BinaryIO:
    """Open a local path or an fsspec URL to read. Raises: PathError when it cannot be opened."""
    try:
        return cast(BinaryIO, RemoteFile(path)) if "://" in path else Path(path).open("rb")
    except (WeftError, ImportError):  # unknown storage, or a package is not installed
        raise
    except Exception as error:  # each remote file system raises errors of its own
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise PathError(f"{path}: cannot be opened: {reason}") from error
