"""Inputs: archives, globs, lists; and one line for each invalid name."""

import gzip
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from pipeline.warc.inputs import expand
from pipeline.warc.stream import find_replaced, identify_source, is_replaced
from schemas.errors import PathError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with archives at three depths, and change into it."""
    for name in ("b.warc.gz", "a.warc.gz", "deep/c.warc", "deep/er/d.warc.gz", "odd[1].warc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["b.warc.gz"], ["b.warc.gz"]),
        (["b.warc.gz", "a.warc.gz", "./b.warc.gz"], ["a.warc.gz", "b.warc.gz"]),
        (["*.warc.gz", "a.warc.gz"], ["a.warc.gz", "b.warc.gz"]),
        (["**/*.warc.gz"], ["a.warc.gz", "b.warc.gz", "deep/er/d.warc.gz"]),
        (["deep/**"], ["deep/c.warc", "deep/er/d.warc.gz"]),
        (["odd[1].warc"], ["odd[1].warc"]),
        (["[ab].warc.gz"], ["a.warc.gz", "b.warc.gz"]),
        ([], []),
    ],
)
def test_local_names(folder: Path, inputs: list[str], expected: list[str]) -> None:
    assert expand(inputs) == [str(folder / name) for name in expected]


@pytest.mark.parametrize("name", ["a b%20#ü[1]", "{x,y}", "[!a]", "q?"])
def test_a_glob_works_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    for path in (tmp_path / name / "a.warc", tmp_path / name / "deep" / "b.warc"):
        path.parent.mkdir(parents=True)
        path.touch()
    assert expand([f"{tmp_path}/{name}/**/[ab].warc"]) == [
        f"{tmp_path}/{name}/a.warc", f"{tmp_path}/{name}/deep/b.warc",
    ]  # fmt: skip


def test_a_file_url_is_a_path(folder: Path) -> None:
    assert expand([f"file://{folder}/a.warc.gz"]) == [str(folder / "a.warc.gz")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.warc", "absent.warc: no such file"),
        ("*.arc", r"\*.arc: no file matches"),
        ("deep", r"deep: a folder, not an archive; give its files, for example 'deep/\*\*/\*.warc.gz'"),
        ("nowhere://host/a.warc", "nowhere://host/a.warc: unknown storage nowhere://"),
        ("memory://absent/*.warc", "no file matches"),
        ("memory://absent/a.warc", "no file matches"),
    ],
)
def test_invalid_inputs_are_named(folder: Path, name: str, message: str) -> None:
    with pytest.raises(PathError, match=message):
        expand(["a.warc.gz", name])


def test_special_files_are_an_error_and_left_out_of_globs(folder: Path) -> None:
    os.mkfifo(folder / "pipe.warc.gz")
    for name in ("pipe.warc.gz", "/dev/null"):
        with pytest.raises(PathError, match=f"^{name}: not a regular file"):
            expand(["a.warc.gz", name])
    assert str(folder / "pipe.warc.gz") not in expand(["*.warc.gz"])


@pytest.mark.parametrize(
    "name", ["a" * 300 + ".warc", "a/" * 3_000, f"{'b' * 300}/*.warc", f"[a]{'b' * 300}/**/*.warc"]
)
def test_a_name_that_is_too_long_gives_one_short_line(folder: Path, name: str) -> None:
    with pytest.raises(PathError) as caught:
        expand(["a.warc.gz", name])
    assert len(str(caught.value)) < 320 and "\n" not in str(caught.value)


def test_a_listing_with_a_line_that_is_too_long(folder: Path) -> None:
    (folder / "warc.paths").write_text("a.warc.gz\n" + "b" * 5_000 + "\n")
    for root in (None, str(folder)):
        with pytest.raises(
            PathError, match=r"warc\.paths: cannot be accessed: File name too long; give a readable archive"
        ):
            expand([str(folder / "warc.paths")], root)


LINES = "crawl-data/CRAWL/segments/1/warc/a.warc.gz\ncrawl-data/CRAWL/segments/2/warc/b.warc.gz\n"


@pytest.mark.parametrize("name", ["warc.paths", "warc.paths.gz"])
@pytest.mark.parametrize("place", [".", "crawl-data/CRAWL", "elsewhere"])
def test_a_local_listing_is_resolved_against_the_folders_above_it(tmp_path: Path, name: str, place: str) -> None:
    for line in LINES.split():
        (tmp_path / line).parent.mkdir(parents=True)
        (tmp_path / line).write_bytes(b"")
    listing = tmp_path / place / name
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_bytes(gzip.compress(LINES.encode()) if name.endswith(".gz") else LINES.encode())
    assert expand([str(listing)]) == [str(tmp_path / line) for line in LINES.split()]


def test_a_listing_with_a_root(tmp_path: Path) -> None:
    listing = tmp_path / "warc.paths"
    listing.write_text(LINES)
    assert expand([str(listing)], root="https://host.example/") == [f"https://host.example/{x}" for x in LINES.split()]
    (tmp_path / "root/crawl-data/CRAWL/segments/1/warc").mkdir(parents=True)
    (tmp_path / "root/crawl-data/CRAWL/segments/1/warc/a.warc.gz").write_bytes(b"")
    with pytest.raises(PathError, match=r"'crawl-data/CRAWL/segments/2/warc/b\.warc\.gz' is not in its folder"):
        expand([str(listing)], root=str(tmp_path / "root"))


@pytest.mark.parametrize(
    ("listing", "root"),
    [
        ("memory://store/crawl-data/CRAWL/warc.paths.gz", "memory://store"),
        ("memory://store/lists/warc.paths.gz", "memory://store/lists"),
    ],
)
def test_a_remote_listing_is_resolved_against_its_own_root(listing: str, root: str) -> None:
    with fsspec.open(listing, "wb") as file:
        file.write(gzip.compress(LINES.encode()))
    assert expand([listing]) == [f"{root}/{line}" for line in LINES.split()]


def test_a_remote_glob() -> None:
    for name in ("a.warc.gz", "b.warc.gz", "c.txt"):
        with fsspec.open(f"memory://globbed/{name}", "wb") as file:
            file.write(b"")
    assert expand(["memory://globbed/*.warc.gz"]) == ["memory:///globbed/a.warc.gz", "memory:///globbed/b.warc.gz"]


def test_urls_in_a_listing(tmp_path: Path) -> None:
    (tmp_path / "warc.paths").write_text("s3://bucket/a.warc.gz\n\n  s3://bucket/b.warc.gz  \n")
    assert expand([str(tmp_path / "warc.paths")]) == ["s3://bucket/a.warc.gz", "s3://bucket/b.warc.gz"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the listing is empty"),
        (b"absent.warc.gz\n", "'absent.warc.gz' is not in its folder or a folder above; give the root"),
        (gzip.compress(LINES.encode())[:-20], "not a listing of paths"),
        (b"\xff\xfe\x00", "not a listing of paths"),
    ],
)
def test_bad_listings(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "warc.paths.gz").write_bytes(data)
    with pytest.raises(PathError, match=message):
        expand([str(tmp_path / "warc.paths.gz")])


@contextmanager
def serving(headers: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Serve one archive with some headers; yield its URL, and the requests."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            requested.append(self.command)
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/a.warc.gz", requested
        finally:
            server.shutdown()
            thread.join()


DAY, NEXT_DAY = "Fri, 01 Mar 2024 10:00:00 GMT", "Sat, 02 Mar 2024 10:00:00 GMT"


@pytest.mark.parametrize(
    ("before", "now", "replaced"),
    [
        ({"Content-Length": "9", "ETag": '"a"'}, {"Content-Length": "9", "ETag": '"b"'}, True),
        ({"Content-Length": "9", "ETag": '"a"'}, {"Content-Length": "8", "ETag": '"a"'}, True),
        ({"Content-Length": "9", "Last-Modified": DAY}, {"Content-Length": "9", "Last-Modified": NEXT_DAY}, True),
        ({"Content-Length": "9", "ETag": '"a"', "Last-Modified": DAY},
         {"Content-Length": "9", "ETag": '"a"', "Last-Modified": NEXT_DAY}, False),
        ({"Content-Length": "9", "ETag": '"a"'}, {"Content-Length": "9", "Last-Modified": DAY}, False),
    ],
)  # fmt: skip
def test_a_web_archive_that_was_replaced(before: dict[str, str], now: dict[str, str], replaced: bool) -> None:
    headers = dict(before)
    with serving(headers) as (address, requested):
        source = identify_source(address)
        assert source["num_bytes"] == 9 and requested == ["HEAD"]
        assert find_replaced({address: source}) == []
        headers.clear()
        headers.update(now)
        assert find_replaced({address: source}) == [address] * replaced
        assert requested == ["HEAD"] * 3, "one request each"


def test_unknown_versions_are_not_replacements(tmp_path: Path) -> None:
    assert identify_source(str(tmp_path / "absent.warc")) == {}
    assert identify_source("http://127.0.0.1:1/a.warc.gz") == {}
    assert not is_replaced({"num_bytes": 9}, {})
    assert not is_replaced({}, {"num_bytes": 9})
