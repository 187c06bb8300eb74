"""Resolve input arguments to archives: paths, globs, and Common Crawl's listings."""

import glob
import gzip
import io
import zlib
from pathlib import Path, PurePosixPath

from pipeline.warc.stream import BLOCK_BYTES, is_remote, open_source
from schemas.display import shorten
from schemas.errors import PathError, WeftError
from schemas.storage import file_system

LISTING_SUFFIXES = (".paths", ".paths.gz")
MAX_LISTING_BYTES = 256 << 20


def expand(inputs: list[str], root: str | None = None) -> list[str]:
    """Return the distinct archives of the inputs, sorted: absolute local paths, and fsspec URLs.

    An input is an archive, a glob (`**` matches folders), or a listing `*.paths` or `*.paths.gz` with one archive per
    line; each is a local path or a URL. Paths in a listing are relative to `root` or, without it, to the folder above
    the listing that contains them. Archives in a remote listing are not checked here.
    Raises: PathError that names the first input that is missing, not a regular file, a glob without match, or an
    invalid listing.
    """
    found: set[str] = set()
    for name in inputs:
        try:
            for path in _match(name):
                found.update(_read_listing(path, root) if path.endswith(LISTING_SUFFIXES) else [path])
        except OSError as error:  # a name that is too long, a folder without permission
            raise PathError(
                f"{shorten(name, 200)}: cannot be accessed: {error.strerror or error}; give a readable archive, glob "
                "or listing"
            ) from error
    return sorted(found)


def _match(name: str) -> list[str]:
    name = name.removeprefix("file://")
    return _match_remote(name) if is_remote(name) else _match_local(name)


def _match_local(name: str) -> list[str]:
    path = Path(name).absolute()
    if path.is_dir():
        raise PathError(
            f"{name}: a folder, not an archive; give its files, for example '{name.rstrip('/')}/**/*.warc.gz'"
        )
    if path.is_file():  # also if its name has special characters of globs
        return [str(path)]
    if path.exists():
        raise PathError(f"{name}: not a regular file; an archive is read more than once, so write it to a file first")
    if not glob.has_magic(name):
        raise PathError(f"{name}: no such file")
    folder = next(parent for parent in path.parents if parent.is_dir())  # its name is not a pattern
    pattern = f"{glob.escape(str(folder))}/{path.relative_to(folder)}"
    paths = glob.iglob(pattern, recursive=True)  # noqa: PTH207, Path.glob only returns folders for a trailing "**"
    matches = [match for match in paths if Path(match).is_file()]
    if not matches:
        raise PathError(f"{name}: no file matches")
    return matches


def _match_remote(name: str) -> list[str]:
    is_http = name.lower().startswith(("http://", "https://"))
    try:
        store, path = file_system(name)
        if not ("*" in name if is_http else glob.has_magic(name)):  # "?" in an http URL begins a query
            matches = [name] if store.exists(path) else []
        else:
            matches = [store.unstrip_protocol(match) for match in store.glob(path)]
    except (WeftError, ImportError):  # unknown storage, or a package is not installed
        raise
    except Exception as error:  # each remote file system raises errors of its own
        raise PathError(f"{name}: cannot be accessed: {error or type(error).__name__}") from error
    if not matches:
        raise PathError(f"{name}: no file matches")
    return matches


def _read_listing(listing: str, root: str | None) -> list[str]:
    lines = [line.strip() for line in _read_text(listing).splitlines() if line.strip()]
    if not lines:
        raise PathError(f"{listing}: the listing is empty")
    return [_resolve(line, listing, root) for line in lines]


def _read_text(listing: str) -> str:
    source = open_source(listing)
    try:
        data = b"".join(iter(lambda: source.read(BLOCK_BYTES), b""))
        if data.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(data)) as unzipped:
                data = unzipped.read(MAX_LISTING_BYTES + 1)
        if len(data) > MAX_LISTING_BYTES:
            raise PathError(f"{listing}: a listing of more than {MAX_LISTING_BYTES} bytes; split it")
        return data.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise PathError(f"{listing}: not a listing of paths: {error}") from error
    finally:
        source.close()


def _resolve(line: str, listing: str, root: str | None) -> str:
    if is_remote(line):
        return line
    if root is not None:
        joined = f"{root.rstrip('/')}/{line.lstrip('/')}"
        return joined if is_remote(root) else str(_existing([Path(joined)], line, listing))
    if not is_remote(listing):
        return str(_existing([folder / line for folder in Path(listing).parents], line, listing))
    folder, first = listing.rpartition("/")[0], PurePosixPath(line).parts[0]
    above, found, _ = f"{folder}/".partition(f"/{first}/")
    return f"{above if found else folder}/{line}"


def _existing(candidates: list[Path], line: str, listing: str) -> Path:
    for path in candidates:
        if path.is_file():
            return path.absolute()
    raise PathError(f"{listing}: '{line}' is not in its folder or a folder above; give the root of its paths")
