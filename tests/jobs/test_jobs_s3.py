"""An S3 store: an archive that was replaced under its key is detected by its ETag."""

from collections.abc import Iterator

import fsspec
import pytest

from jobs.extract import find_replaced_archives
from pipeline.html.extract import extract_archive
from pipeline.io.store import Store
from schemas.errors import PathError
from schemas.recipe import Extract

moto = pytest.importorskip("moto.server")
BUCKET = "s3://bucket"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """The file system of a server on this machine, with BUCKET in it."""
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "known")
    store = fsspec.filesystem("s3")
    store.clear_instance_cache()  # of other endpoints
    try:
        store = fsspec.filesystem("s3", use_listings_cache=False)
        store.mkdir(BUCKET)
        yield store
        store.rm(BUCKET, recursive=True)  # another server of this process would have it too
    finally:
        server.stop()
        store.clear_instance_cache()


def test_a_bucket_that_does_not_exist_is_one_line(s3: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(PathError) as raised:
        Store("s3://nowhere/out").check_writable()
    assert str(raised.value).startswith("cannot write to s3://nowhere/out: ") and "bucket" in str(raised.value)
    assert [name for name in s3.ls("") if "nowhere" in name] == [], "and none is made"


def test_a_probe_leaves_nothing(s3: fsspec.AbstractFileSystem) -> None:
    Store(f"{BUCKET}/out").check_writable()
    assert s3.find(BUCKET) == []


def archive(word: str) -> bytes:
    """Return an archive of one page; the lengths of words determine its length."""
    body = f"<html><body><article><p>The {word} mill by the river grinds flour again, as it did. </p></article>"
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{body * 9}"
    head = f"WARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\nContent-Length: {len(answer)}"
    return f"WARC/1.0\r\n{head}\r\n\r\n{answer}\r\n\r\n".encode()


def test_an_archive_that_was_replaced_under_its_key(s3: fsspec.AbstractFileSystem) -> None:
    names = [f"{BUCKET}/crawl/{name}.warc" for name in ("a", "b")]
    for name in names:
        s3.pipe_file(name, archive("old"))
    store = Store(f"{BUCKET}/out")
    sources = [extract_archive(name, store, Extract())["source"] for name in names]
    assert [source["etag"] for source in sources] == [s3.info(name)["ETag"] for name in names]
    assert find_replaced_archives(store, names) is None
    s3.pipe_file(names[0], archive("new"))
    assert s3.info(names[0])["size"] == sources[0]["num_bytes"], "the ETag alone tells"
    warning = find_replaced_archives(store, names)
    assert warning is not None
    assert warning.startswith("1 of 2 archives were replaced after they were read")
    assert names[0] in warning and names[1] not in warning and "--overwrite" in warning
