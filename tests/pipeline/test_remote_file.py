"""A file behind a faulty network: the same bytes, and each failure costs one more range."""

import random
from pathlib import Path

import pytest
from rangeserver import DATA, SIZE, serving, url

from pipeline.io import remote
from pipeline.io.remote import RemoteFile
from pipeline.io.store import open_file
from pipeline.warc.responses import Response, read_archive
from schemas.errors import PathError

BLOCK = 5 << 20  # of fsspec's HTTP files


def read_all(file: RemoteFile) -> bytes:
    return b"".join(iter(lambda: file.read(64 << 10), b""))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.mark.parametrize("kind", ["503", "500", "429", "reset", "short"])
def test_a_failed_range_is_requested_again(kind: str) -> None:
    with serving(lambda number: kind if number in (1, 3) else "") as server, RemoteFile(url(server)) as file:
        assert read_all(file) == DATA
    assert server.num_bytes <= SIZE + 2 * BLOCK, "a failure costs one more range, not the file"


def test_any_mix_of_faults_gives_the_same_bytes() -> None:
    faults = random.Random(5).choices(["", "503", "reset", "short"], [6, 1, 1, 1], k=200)
    with serving(lambda number: faults[number]) as server, RemoteFile(url(server)) as file:
        assert read_all(file) == DATA
        for offset in (11_000_000, 3, 7_000_000):
            file.seek(offset)
            assert file.read(100_000) == DATA[offset : offset + 100_000]
        assert file.seek(-5, 2) == SIZE - 5
        assert file.read() == DATA[-5:]


def test_a_server_without_ranges_is_read_again_to_the_same_place() -> None:
    with (
        serving(lambda number: "short" if number < 2 else "", has_ranges=False) as server,
        RemoteFile(url(server)) as file,
    ):
        assert read_all(file) == DATA


def test_it_gives_up_in_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(lambda number: "503" if number else "") as server, RemoteFile(url(server)) as file:
        with pytest.raises(Exception, match="503"):
            read_all(file)
        assert server.num_requests == 1 + remote.ATTEMPTS
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == remote.ATTEMPTS - 1
    assert all(f"attempt {n} failed: " in line for n, line in enumerate(lines, 1))


@pytest.mark.parametrize("kind", ["403", "404"])
def test_what_is_forbidden_or_gone_is_not_tried_again(kind: str) -> None:
    with serving(lambda number: kind if number else "") as server, RemoteFile(url(server)) as file:
        with pytest.raises(Exception, match=f"{kind}|a.warc.gz"):
            read_all(file)
        assert server.num_requests == 2


def test_a_port_without_a_server_is_one_line() -> None:
    with serving(lambda number: "") as server:
        gone = url(server)
    with pytest.raises(PathError, match="cannot be opened: "):
        open_file(gone)


def test_pages_of_an_archive_are_the_same(tmp_path: Path) -> None:
    from tests.sampleweb.web import write_web

    write_web(tmp_path, num_pages=20)
    path = tmp_path / "pages-000.warc.gz"
    expected = [item for item in read_archive(str(path)) if isinstance(item, Response)]
    with serving(lambda number: "short" if number == 0 else "", path.read_bytes()) as server:
        found = [item for item in read_archive(url(server)) if isinstance(item, Response)]
    assert found == expected and len(expected) > 5
