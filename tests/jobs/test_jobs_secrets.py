"""A run with credentials in its recipe and inputs: no file and no message contains one."""

import gzip
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
from runs import weft

from jobs.extract import STEP as EXTRACT
from jobs.fetch import STEP as FETCH
from jobs.recipes import load
from jobs.run import run
from jobs.step import finished_output
from pipeline.io.store import Store
from schemas.display import redacted
from schemas.errors import PathError, RecipeError

SECRET = "s3cret"
PAGE = (
    "<html><title>Harbour</title><body><main><p>"
    + "The old harbour looks over the sea, and the boats of the town lie there in the evening light. " * 20
    + '</p><img src="http://pictures.example/a.jpg" alt="A boat in the old harbour at night"></main></html>'
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    """Serve an archive of one page; return its URL, which has a signature and a password."""
    body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{PAGE}".encode()
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://pages.example/\r\nWARC-Date: 2024-01-01T00:00:00Z"
        f"\r\nWARC-Record-ID: <urn:uuid:1>\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.warc").write_bytes(head.encode() + body + b"\r\n\r\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://user:{SECRET}@127.0.0.1:{server.server_port}/a.warc?X-Amz-Date=1&X-Amz-Signature={SECRET}"
        server.shutdown()


def unpacked(path: Path) -> bytes:
    """Return a file's bytes, decompressed if it is a Spark event log."""
    data = path.read_bytes()
    if path.suffix == ".zstd":
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            return stream.read()
    return gzip.decompress(data) if path.suffix == ".gz" else data


@pytest.mark.slow
def test_no_file_and_no_line_holds_a_credential(tmp_path: Path, archive: str) -> None:
    output = tmp_path / "out"
    asked = ["-o", str(output), "--set", f"fetch.proxy=http://user:{SECRET}@127.0.0.1:9", "--set", "fetch.retries=0"]
    done = [weft("run", "-r", "everything", *asked, archive)]
    assert done[0].returncode == 0, done[0].stderr
    done += [weft("stats", str(output), "--funnel"), weft("why", str(output), "http://pages.example/"),
             weft("card", str(output)), weft("report", str(output)), weft("verify", str(output)),
             weft("recipe", "show", "everything", *asked[2:])]  # fmt: skip
    for command in done:
        assert SECRET not in command.stdout + command.stderr, command.args
        assert command.returncode == 0, command.stderr
    files = [path for path in output.rglob("*") if path.is_file()]
    assert any(path.parent.name == "_events" or "_events" in path.parts for path in files)
    assert [path for path in files if SECRET.encode() in unpacked(path)] == []
    manifest = json.loads((output / "images" / "_manifest.json").read_text())
    assert manifest["recipe"]["fetch"]["proxy"] == "http://***@127.0.0.1:9"
    # The same archive, signed anew, and another password are nothing new; without a password fetch cannot go on.
    again = weft("run", "-r", "everything", *(word.replace(SECRET, "other") for word in asked),
                 archive.replace(SECRET, "other"))  # fmt: skip
    assert again.returncode == 0 and again.stderr.count("already complete") == 7, again.stderr
    refused = weft("fetch", "-o", str(output), "--retry", "unreachable")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "--set fetch.proxy=" in refused.stderr


def test_credentials_do_not_make_another_configuration(tmp_path: Path) -> None:
    texts = "https://user:{}@host.example/items.parquet?X-Amz-Signature={}"
    first, second = (load("everything", [f"decontaminate.texts=['{texts.format(word, word)}']"]) for word in "ab")
    from jobs.dedup import STEP

    assert STEP.config(first) == STEP.config(second) == redacted(STEP.config(first))
    other = load("everything", ["decontaminate.texts=['https://user:a@host.example/others.parquet']"])
    assert STEP.config(first) != STEP.config(other)


def test_an_older_output_is_recognised_by_archives_without_credentials(tmp_path: Path) -> None:
    recipe = load("everything")
    names = finished_output(EXTRACT, Store(str(tmp_path)), recipe, ["https://u:p@h/a.warc.gz?sig=1", "/b.warc"])[0][
        "archives"
    ]
    assert names == "https://***@h/a.warc.gz?sig=***\n/b.warc"


def test_two_archives_that_differ_only_in_credentials_are_an_error(tmp_path: Path, archive: str) -> None:
    with pytest.raises(PathError, match="2 inputs are http"):
        run((EXTRACT,), load("everything"), str(tmp_path / "out"), [archive, archive.replace(SECRET, "other")])


def test_masked_credentials_are_an_error(tmp_path: Path) -> None:
    recipe = load("everything", ["fetch.proxy=http://***@127.0.0.1:9"])
    with pytest.raises(RecipeError, match=r"--set fetch\.proxy="):
        FETCH.check_credentials(recipe)
    EXTRACT.check_credentials(recipe)
