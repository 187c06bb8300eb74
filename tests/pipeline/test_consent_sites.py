"""Cached responses of sites: which are valid, damaged parts, and the packing of parts."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import fetch_rounds
from jobs.fetch_rounds import pack_site_files, read_site_files
from jobs.recipes import load
from jobs.step import Context
from pipeline.fetch.site_files import FOLDER, SiteFile, SiteFiles
from pipeline.io.store import Store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

URL, OTHER = "http://host.example/robots.txt", "https://host.example/robots.txt"
DAY = 86_400.0


def file(status: int = 200, fetched_at: float = 1_000.0, body: bytes = b"User-agent: *\n", url: str = URL) -> SiteFile:
    return SiteFile(url, fetched_at, status, body)


def write(folder: Path, *files: SiteFile) -> None:
    """Write files as one part of the cache of an output."""
    site_files = SiteFiles(Store(str(folder / "sites")))
    for each in files:
        site_files.put(each)
    site_files.write()


def parts(folder: Path) -> list[Path]:
    return sorted((folder / "sites" / FOLDER).rglob("*.parquet"))


@pytest.fixture
def read(spark: "SparkSession", tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Read the valid files of an output at a time, in a run that started at another."""

    def read(now: float = 1_000, since: float = 1_000) -> list[SiteFile]:
        monkeypatch.setattr(fetch_rounds.time, "time", lambda: now)
        context = Context(spark, Store(str(tmp_path)), load("everything"), ())
        found = read_site_files(context, since).drop("host").collect()
        return sorted((SiteFile(**row.asDict()) for row in found), key=lambda each: each.url)

    return read


@pytest.mark.parametrize(
    ("status", "now", "since", "is_valid"),
    [
        (200, 1_000, 1_000, True),
        (200, 1_000 + DAY - 1, 1_000, True),
        (200, 1_000 + DAY, 1_000, False),
        (200, 2_000, 1_500, True),
        (404, 2_000, 1_500, True),
        (500, 2_000, 1_000, True),
        (500, 2_000, 1_500, False),
        (429, 2_000, 1_000, True),
        (429, 2_000, 1_500, False),
        (0, 2_000, 1_000, True),
        (0, 2_000, 1_500, False),
        (503, 1_000 + DAY, 1_000, False),
        (200, 998, 900, True),
        (200, 1_000 - DAY, 0, False),
    ],
)
def test_which_files_are_valid(read, tmp_path: Path, status: int, now: float, since: float, is_valid: bool) -> None:
    write(tmp_path, file(status))
    assert read(now, since) == ([file(status)] if is_valid else [])


def test_a_newer_file_replaces_an_older_one(read, tmp_path: Path) -> None:
    write(tmp_path, file(200, 1_001), file(404, 1_000, b"", OTHER))
    write(tmp_path, file(503, 1_000, b""))
    assert read(1_002) == [file(200, 1_001), file(404, 1_000, b"", OTHER)]


def test_without_a_cache(read) -> None:
    assert read() == []


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"\xff" * 100, None])
def test_a_damaged_part_is_skipped(read, tmp_path: Path, damage: bytes | None) -> None:
    write(tmp_path, file())
    (path,) = parts(tmp_path)
    path.write_bytes(path.read_bytes()[:-10] if damage is None else damage)
    write(tmp_path, file(404, 1_000, b"", OTHER))
    assert read() == [file(404, 1_000, b"", OTHER)]


def test_packing_keeps_what_another_run_can_use(
    read, spark: "SparkSession", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = bytes(range(256))
    numbered = [file(200, 1_000 + number, body, f"http://{number:02d}.example/robots.txt") for number in range(20)]
    for each in numbered:
        write(tmp_path, each)
    write(tmp_path, file(500, 1_000), file(200, 1_000 - 2 * DAY, body, OTHER))
    assert len(parts(tmp_path)) == 21
    monkeypatch.setattr(fetch_rounds.time, "time", lambda: 1_050.0)
    pack_site_files(Context(spark, Store(str(tmp_path)), load("everything"), ()))
    assert len(parts(tmp_path)) < 5
    assert read(1_050, 1_050) == numbered
