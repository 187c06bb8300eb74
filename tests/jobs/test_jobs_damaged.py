"""Commands on an output with a damaged or missing file: one line, with the remedy."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from runs import weft
from webs import Finished

from jobs.cli.inspect import show_dropped, show_stats
from jobs.cli.output import write_card
from jobs.cli.why import show_why
from jobs.errors import explain_read_errors
from jobs.report import report
from schemas.errors import WeftError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

READERS: dict[str, Callable[[str, str], object]] = {  # an output, and an id in the file that is damaged
    "stats": lambda output, _: show_stats(output, as_json=True),
    "stats --funnel": lambda output, _: show_dropped(output, "rule", 9, as_json=True),
    "stats --by host": lambda output, _: show_dropped(output, "host", 9, as_json=True),
    "why": lambda output, name: show_why(output, name, as_json=True),
    "card": lambda output, _: write_card(output, None, None, None),
    "report": lambda output, _: report(output, None, 3, None),
}
READS = [
    ("stats", "shards/**/*.index.parquet"),
    ("stats", "shards/shards.json"),
    ("stats --funnel", "rejections/**/*.parquet"),
    ("stats --by host", "pages/*.parquet"),
    ("why", "rejections/**/*.parquet"),
    ("card", "documents/*.parquet"),
    ("card", "pages/_commits/*.json"),
    ("report", "rejections/**/*.parquet"),
    ("report", "shards/**/*.index.parquet"),
]
CASES = [
    (reader, pattern, damage)
    for reader, pattern in READS
    for damage in ("gone", "cut off", "flipped")
    if damage != "gone" or pattern.endswith(".parquet")  # what was not committed is no part of a run
]


@pytest.fixture
def output(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.output, tmp_path / "a b#1" / "out"))


def largest(output: Path, pattern: str) -> Path:
    return max(output.glob(pattern), key=lambda path: path.stat().st_size)


def id_in(path: Path) -> str:
    ids = pq.read_table(path, columns=["page_id", "image_id"]).to_pylist()
    return next(value for row in ids for value in row.values() if value)


def hurt(path: Path, damage: str) -> None:
    if damage == "gone":
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    if damage == "cut off":
        path.write_bytes(data[: len(data) // 2])
        return
    places = [len(data) // 2]
    if path.suffix == ".parquet":  # the end of each column, which is of a page and not of its header
        group = pq.read_metadata(path).row_group(0)
        columns = [group.column(number) for number in range(group.num_columns)]
        places = [(c.dictionary_page_offset or c.data_page_offset) + c.total_compressed_size - 1 for c in columns]
    for place in places:
        data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(("reader", "pattern", "damage"), CASES)
def test_a_damaged_file_gives_one_line(
    output: Path, spark: "SparkSession", reader: str, pattern: str, damage: str
) -> None:
    path = largest(output, pattern)
    name = id_in(path) if reader == "why" else ""  # statistics leave out what has no such id
    hurt(path, damage)
    with pytest.raises(WeftError) as raised, explain_read_errors(str(output)):
        READERS[reader](str(output), name)
    said = str(raised.value)
    assert "\n" not in said and len(said) < 1000
    if pattern != "shards/shards.json" or damage != "flipped":  # there, a sum in it is not the one of its index
        assert path.name in said or f"a file of {output}" in said
    assert any(remedy in said for remedy in ("`weft verify`", "--overwrite", "copy the shards again"))


@pytest.mark.parametrize("command", ["stats", "report"])
def test_the_command_ends_with_status_2_and_one_line(output: Path, command: str) -> None:
    hurt(largest(output, "shards/**/*.index.parquet"), "cut off")
    done = weft(command, str(output), *(("--master", "local[1]") if command == "report" else ()))
    said = [line for line in done.stderr.splitlines() if not line.startswith("report: ")]  # how far it is
    assert (done.returncode, done.stdout, len(said)) == (2, "", 1), done.stderr
    assert said[0].startswith("weft: ")
