"""From what a person names as input to the archives that it means: paths, globs, and listings of Common Crawl."""

import glob
import gzip
import io
import zlib
from pathlib import Path, PurePosixPath

import fsspec

from pipeline.warc.stream import BLOCK_BYTES, is_remote, open_source
from schemas.display import shorten
from schemas.errors import PathError

LISTING_SUFFIXES = (".paths", ".paths.gz")
MAX_LISTING_BYTES = 256 << 20


def expand(inputs: list[str], root: str | None = None) -> list[str]:
    """Return the archives that the inputs mean, sorted, each once: absolute local paths, and URLs as fsspec takes them.

    An input is an archive, a glob (`**` goes through folders), or a listing `*.paths` or `*.paths.gz` with one archive
    to a line; each of them a local path or a URL. Paths in a listing are taken from `root` where it is given; else from
    the folder above the listing that they fit under. Archives that a remote listing names are not looked up here.
    Raises: PathError naming the first input that is missing, no regular file, a glob without match, or a bad listing.
    """
    found: set[str] = set()
    for name in inputs:
        try:
            for path in _match(name):
                found.update(_read_listing(path, root) if path.endswith(LISTING_SUFFIXES) else [path])
        except OSError as error:  # a name that is too long, a folder that may not be read
            raise PathError(
                f"{shorten(name, 200)}: cannot be looked up: {error.strerror or error}; name one archive, glob or "
                "listing that can be read"
            ) from error
    return sorted(found)


def _match(name: str) -> list[str]:
    name = name.removeprefix("file://")
    return _match_remote(name) if is_remote(name) else _match_local(name)


def _match_local(name: str) -> list[str]:
    path = Path(name).absolute()
    if path.is_dir():
        raise PathError(
            f"{name}: a folder, not an archive; name what is in it, as in '{name.rstrip('/')}/**/*.warc.gz'"
        )
    if path.is_file():  # also where its name holds signs that a glob would read otherwise
        return [str(path)]
    if path.exists():
        raise PathError(f"{name}: not a regular file; an archive is read more than once, so write it to a file first")
    if not glob.has_magic(name):
        raise PathError(f"{name}: no such file")
    folder = next(parent for parent in path.parents if parent.is_dir())  # its name is no pattern, whatever it holds
    pattern = f"{glob.escape(str(folder))}/{path.relative_to(folder)}"
    paths = glob.iglob(pattern, recursive=True)  # noqa: PTH207, of a trailing "**" Path.glob gives the folders alone
    matches = [match for match in paths if Path(match).is_file()]
    if not matches:
        raise PathError(f"{name}: no file matches")
    return matches


def _match_remote(name: str) -> list[str]:
    is_http = name.lower().startswith(("http://", "https://"))
    try:
        file_system, path = fsspec.url_to_fs(name)
        if not ("*" in name if is_http else glob.has_magic(name)):  # "?" in a web address begins a query
            matches = [name] if file_system.exists(path) else []
        else:
            matches = [file_system.unstrip_protocol(match) for match in file_system.glob(path)]
    except ValueError as error:
        raise PathError(f"{name}: {error}") from error
    except ImportError:  # of a package that is not installed
        raise
    except Exception as error:  # each remote file system raises errors of its own
        raise PathError(f"{name}: cannot be looked up: {error or type(error).__name__}") from error
    if not matches:
        raise PathError(f"{name}: no such file, or none matches")
    return matches


def _read_listing(listing: str, root: str | None) -> list[str]:
    lines = [line.strip() for line in _read_text(listing).splitlines() if line.strip()]
    if not lines:
        raise PathError(f"{listing}: the listing names no archive")
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
    raise PathError(f"{listing}: '{line}' is neither beside it nor under a folder above it; give the root of its paths")
