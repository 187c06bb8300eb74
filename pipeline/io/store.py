"""A run's output folder: paths, atomic files, and the manifests and commits of steps."""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline.io.remote import RemoteFile
from schemas import renames
from schemas.display import describe
from schemas.errors import IntegrityError, PathError, WeftError
from schemas.integrity import Sum, seal, sum_of, unseal
from schemas.storage import file_system
from schemas.tables import digest

CONFIG = "_config"  # folder with a file per step, written when it starts: the configuration of its output
DRAFT = "_draft-"  # prefix of incomplete files; the underscore hides them too
MANIFEST = "_manifest.json"  # the leading underscore hides it from Spark and pyarrow


UPLOAD_BYTES = 64 << 20  # a file of this size is uploaded to an object store at once, a larger one in such parts
_UNFINISHED = ("_temporary", "__magic")  # folders of Spark's committers until a job is done


def parse_sealed(data: bytes, path: str) -> Any:
    """Return the value of sealed JSON that was read from a path. Raises: IntegrityError when it is damaged."""
    try:
        return unseal(data)[0]
    except IntegrityError as error:
        raise IntegrityError(f"{path} is damaged ({error}); run its step again with --overwrite") from error


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
    """The output folder of a run: a local path or an fsspec URL.

    Files appear at their paths complete, and not at all if writing them fails. On file systems (local, NFS, HDFS) they
    are written as drafts, which a rename publishes. Object stores (S3, GCS, Azure) show an object when its upload ends,
    so it is uploaded under its final name.
    """

    def __init__(self, root: str) -> None:
        self.fs, path = file_system(root, use_listings_cache=False)
        self.path = path.rstrip("/")
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        self.local = "file" in protocols
        self.renames = self.local or "hdfs" in protocols
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
        """Check that files can be written, and that of two creators of a file one wins; leave the folder unchanged.

        Raises: PathError if the folder cannot be written, or if the store lets both creators succeed: the run lock and
        the commits of fetch rely on it.
        """
        existed = not self.local or self.fs.exists(self.path)
        probe = self.at(f"{DRAFT}{uuid.uuid4().hex}-probe")
        try:
            with ThreadPoolExecutor(2) as pool:
                won = list(pool.map(partial(self.create, probe), (b"first", b"second")))
            self.fs.rm_file(probe)
            if not existed:
                self.fs.rmdir(self.path)
        except Exception as error:  # each file system raises errors of its own
            reason = getattr(error, "strerror", None) or describe(error, 200)
            raise PathError(f"cannot write to {self.root}: {reason}") from error
        if won.count(True) != 1:
            raise PathError(
                f"{self.root}: the store let two writers create the same file, so two runs could write this output at "
                "once. It needs conditional writes (If-None-Match); docs/cluster.md lists stores that have them"
            )

    def write_json(self, path: str, value: Mapping[str, Any]) -> None:
        """Write sealed JSON atomically."""
        self.write(path, seal(value, sort_keys=True))

    def write(self, path: str, data: bytes) -> None:
        """Write a file atomically; two writers of the same bytes may race."""
        if not self.renames:
            self.fs.pipe_file(path, data)
            return
        self._publish(path, data, replace=True)

    def _publish(self, path: str, data: bytes, replace: bool) -> None:
        file = NewFile(self, path)
        try:
            file.write(data)
            file.publish(replace)
        except BaseException:
            file.discard()
            raise

    def create(self, path: str, data: bytes) -> bool:
        """Write a file atomically unless it exists; return whether it was written.

        Of several writers, one succeeds; their data must differ: a conditional upload that the network cut after it
        succeeded is repeated and then finds its own object, which only the content shows.
        """
        try:
            if self.renames:
                self._publish(path, data, replace=False)
            else:
                self.fs.pipe_file(path, data, mode="create")
        except Exception:  # each file system raises errors of its own if the file exists
            try:
                existing = self.read(path)
            except FileNotFoundError:
                existing = None
            if existing is None:
                raise
            return existing == data
        return True

    def read(self, path: str) -> bytes:
        """Read a small file that is not empty, with one request. Raises: FileNotFoundError."""
        whole = {} if self.renames else {"start": 0}  # without a start, s3fs asks for the size first
        data: bytes = self.fs.cat_file(path, **whole)
        return data

    def has(self, path: str) -> bool:
        """Return whether a small file exists, with one request: `fs.exists` of a missing object also lists."""
        if self.renames:
            return bool(self.fs.exists(path))
        try:
            return bool(self.read(path))
        except FileNotFoundError:
            return False

    def read_json(self, path: str) -> Any:
        """Read JSON. Raises: IntegrityError when the file is damaged, FileNotFoundError when it does not exist."""
        return parse_sealed(self.read(path), path)

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
        try:
            paths = self.fs.ls(self.at(*folder), detail=False)
        except FileNotFoundError:
            paths = []
        names = sorted(path.rsplit("/", 1)[-1] for path in paths)
        return ["/".join((*folder, name)) for name in names if name.endswith(".json") and name[0] not in "_."]

    def sum(self, path: str) -> Sum:
        """Return the checksum of a file below the root. Raises: FileNotFoundError."""
        with self.fs.open(self.at(path), "rb") as file:
            return sum_of(file)

    def remove(self, *parts: str) -> None:
        """Remove a file or folder below the root, if it exists."""
        with suppress(FileNotFoundError):
            self.fs.rm(self.at(*parts), recursive=True)

    def remove_files(self, paths: Sequence[str]) -> None:
        """Remove files below the root that exist; object stores remove many with one request."""
        if self.renames:
            for path in paths:
                self.remove(path)
            return
        with suppress(FileNotFoundError):
            self.fs.rm([self.at(path) for path in paths])

    def remove_drafts(self) -> None:
        """Remove incomplete files of killed writers; requires the run lock and no running tasks."""
        unfinished = set()
        for path in self.fs.find(self.path):
            names = path[len(self.path) + 1 :].split("/")
            for depth, name in enumerate(names):
                if name.startswith(DRAFT) or name in _UNFINISHED:
                    unfinished.add(self.at(*names[: depth + 1]))
                    break
        for path in sorted(unfinished):
            with suppress(FileNotFoundError):
                self.fs.rm(path, recursive=True)

    def parts(self, folder: str) -> list[str]:
        """List the Parquet files below a folder, relative to the root and sorted, without hidden ones."""
        found = self.fs.find(self.at(folder))
        below = sorted(p[len(self.at(folder)) + 1 :] for p in found if p.endswith(".parquet"))
        return [f"{folder}/{p}" for p in below if not any(s[0] in "_." for s in p.split("/"))]


class NewFile:
    """A file that is written in order, and appears at its path when it is published.

    path: in the store's file system, as Store.at returns it
    """

    def __init__(self, store: Store, path: str) -> None:
        self.store, self.path = store, path
        self.num_bytes, self.sha256 = 0, hashlib.sha256()
        self.closed = False  # pyarrow asks
        folder, name = path.rsplit("/", 1)
        self.draft = f"{folder}/{DRAFT}{uuid.uuid4().hex}-{name}" if store.renames else path
        self.file: Any
        if store.local:
            store.fs.makedirs(folder, exist_ok=True)
            self.file = open(self.draft, "wb")  # noqa: SIM115, PTH123
        elif store.renames:
            self.file = store.fs.open(self.draft, "wb")
        else:
            self.file = store.fs.open(self.draft, "wb", block_size=UPLOAD_BYTES)

    def write(self, data: bytes) -> int:
        """Append bytes; return their number."""
        self.sha256.update(data)
        self.num_bytes += memoryview(data).nbytes
        self.file.write(data)
        return memoryview(data).nbytes

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self.num_bytes

    def flush(self) -> None:
        """Do nothing: a file without its end has no readers."""

    @property
    def sum(self) -> Sum:
        """Size and checksum of the bytes written so far."""
        return {"num_bytes": self.num_bytes, "sha256": self.sha256.hexdigest()}

    def publish(self, replace: bool = True) -> None:
        """Make the file appear at its path. Raises: FileExistsError if it exists and is not to be replaced."""
        if self.store.local:
            self.file.flush()
            os.fsync(self.file.fileno())
        self.file.close()
        if self.store.local and replace:
            os.replace(self.draft, self.path)  # noqa: PTH105
        elif self.store.local:
            os.link(self.draft, self.path)  # unlike os.replace, it fails if the file exists
            os.unlink(self.draft)  # noqa: PTH108
        elif self.store.renames:
            self.store.fs.mv(self.draft, self.path, overwrite=replace)

    def discard(self) -> None:
        """End without a file; also after a failed `publish`."""
        if self.store.renames:
            with suppress(Exception):  # a broken connection: the first error is raised
                self.file.close()
            with suppress(FileNotFoundError):
                self.store.fs.rm_file(self.draft)
            return
        with suppress(Exception):
            if hasattr(self.file, "discard"):  # Azure drops blocks that no list names
                self.file.discard()
        self.file.closed = True  # or it would be uploaded when it is collected


COMMITS = "_commits"


def read_commits(store: Store) -> dict[str, dict[str, Any]]:
    """Return the commits of archives, by the name of their part; read at once where the store is asynchronous."""
    paths = [store.at(path) for path in store.documents("pages", COMMITS)]
    data = store.fs.cat_ranges(paths, [0] * len(paths), [None] * len(paths), on_error="raise")
    return {
        path.rsplit("/", 1)[-1].removesuffix(".json"): parse_sealed(sealed, path)
        for path, sealed in zip(paths, data, strict=True)
    }


def open_file(path: str) -> BinaryIO:
    """Open a local path or an fsspec URL to read. Raises: PathError when it cannot be opened."""
    try:
        return cast(BinaryIO, RemoteFile(path)) if "://" in path else Path(path).open("rb")
    except (WeftError, ImportError):  # unknown storage, or a package is not installed
        raise
    except Exception as error:  # each remote file system raises errors of its own
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise PathError(f"{path}: cannot be opened: {reason}") from error
