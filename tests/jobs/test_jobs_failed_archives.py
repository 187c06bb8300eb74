"""Archives that cannot be read: within the limit the run continues, and the same command tries them again."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from rangeserver import Server, serving

from jobs import extract
from jobs.recipes import load
from jobs.run import run
from pipeline.io.store import Manifest, Store
from schemas.errors import PathError
from tests.sampleweb import RECIPE
from tests.sampleweb.web import write_web

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAMES = [f"pages-{number:03}.warc.gz" for number in range(3)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    write_web(tmp_path / "web", num_pages=12)
    with serving(lambda number: "") as server:
        server.files = {f"/{name}": (tmp_path / "web" / name).read_bytes() for name in NAMES}
        yield server


def extracted(server: Server, tmp_path: Path, *settings: str) -> Manifest:
    listing = tmp_path / "all.paths"
    listing.write_text("".join(f"http://127.0.0.1:{server.server_address[1]}/{name}\n" for name in NAMES))
    return run((extract.STEP,), load(str(RECIPE), list(settings)), str(tmp_path / "out"), [str(listing)])["extract"]


def pages(tmp_path: Path, manifest: Manifest) -> list[str]:
    return sorted(url for file in manifest.files["pages"] for url in
                  pq.ParquetFile(tmp_path / "out" / file).read(["url"])["url"].to_pylist())  # fmt: skip


def test_a_missing_archive_fails_the_step_after_the_others(
    server: Server, tmp_path: Path, spark: "SparkSession"
) -> None:
    del server.files[f"/{NAMES[1]}"]
    with pytest.raises(PathError, match=rf"{NAMES[1]}: cannot be opened"):
        extracted(server, tmp_path)
    assert len(Store(str(tmp_path / "out")).documents("pages", "_commits")) == 2


def test_within_the_limit_the_run_continues_and_tries_again(
    server: Server, tmp_path: Path, spark: "SparkSession"
) -> None:
    missing = f"/{NAMES[1]}"
    data = server.files.pop(missing)
    limit = "extract.max_failed_archives=1"
    first = extracted(server, tmp_path, limit)
    assert first.rejected["ARCHIVE_FAILED"] == 1 and first.counts["archives"] == 2
    assert first.notes["archives"].startswith("1 archives could not be read, and the same command tries them again: ")
    (file,) = (name for name in first.files["rejections"] if "failed" in name)
    (row,) = pq.ParquetFile(tmp_path / "out" / file).read().to_pylist()
    assert (row["rule"], row["level"], row["page_id"]) == ("ARCHIVE_FAILED", "record", None)
    assert row["warc_file"].endswith(missing) and "cannot be opened" in row["detail"]

    again = extracted(server, tmp_path, limit)
    assert (again.digest, again.rejected) == (first.digest, first.rejected), "later steps have nothing new"

    server.files[missing] = data
    whole = extracted(server, tmp_path)  # the limit shapes no archive's part, so it may change
    assert "ARCHIVE_FAILED" not in whole.rejected and "archives" not in whole.notes
    assert whole.counts["archives"] == 3 and len(pages(tmp_path, whole)) > len(pages(tmp_path, first)) > 0
    assert not (tmp_path / "out" / file).exists()
