"""`weft verify`: a whole output is said to be whole; each kind of damage is found, with its file and sample named."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from runs import weft
from webs import Finished

from pipeline.verify import Report, verify


@pytest.fixture
def output(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.output, tmp_path / "out"))


def check(output: Path, deep: bool = True) -> Report:
    return verify(str(output), deep, 1)


def listing(output: Path) -> list[dict[str, Any]]:
    return json.loads((output / "shards" / "shards.json").read_text())["shards"]


def first(output: Path, corpus: str) -> tuple[Path, list[dict[str, Any]]]:
    """Return a corpus' first tar and its index."""
    entry = next(e for e in listing(output) if e["corpus"] == corpus and e["split"] == "train")
    return output / "shards" / entry["tar"], pq.read_table(output / "shards" / entry["index"]).to_pylist()


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("deep", [True, False])
def test_a_finished_run_is_whole(output: Path, deep: bool) -> None:
    report = check(output, deep)
    assert (report.defects, report.notes) == ([], [])
    assert report.counts["samples"] == sum(e["num_samples"] for e in listing(output))
    assert report.counts["shards"] == len(listing(output))


def test_shards_alone_are_whole_in_several_processes(output: Path) -> None:
    assert verify(str(output / "shards"), True, 2).defects == []


PLACES: dict[str, Callable[[dict[str, Any]], int]] = {
    "header": lambda m: m["offset"] - 500,
    "padding of header": lambda m: m["offset"] - 1,
    "first byte": lambda m: m["offset"],
    "middle": lambda m: m["offset"] + m["size"] // 2,
    "last byte": lambda m: m["offset"] + m["size"] - 1,
    "padding": lambda m: m["offset"] + m["size"],
}


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("corpus", ["interleaved", "caption", "text"])
@pytest.mark.parametrize("place", PLACES)
def test_a_flipped_byte_names_its_sample(output: Path, corpus: str, place: str, deep: bool) -> None:
    tar, rows = first(output, corpus)
    row = rows[len(rows) // 2]
    member = next(m for m in reversed(row["members"]) if m["size"] % 512 or place != "padding")
    flip(tar, PLACES[place](member))
    defects = check(output, deep).defects
    assert {d.key for d in defects} == {row["key"]}, defects
    assert {d.file for d in defects} == {str(tar.relative_to(output))}


def test_a_flipped_byte_at_the_end_of_a_tar_names_the_last_sample(output: Path) -> None:
    tar, rows = first(output, "text")
    flip(tar, tar.stat().st_size - 1)
    assert [d.key for d in check(output).defects] == [rows[-1]["key"]]


def test_a_tar_that_is_cut_off_names_where(output: Path) -> None:
    tar, rows = first(output, "caption")
    member = rows[3]["members"][0]
    with tar.open("r+b") as file:
        file.truncate(member["offset"] + 10)
    (defect,) = check(output).defects
    assert defect.key == rows[3]["key"] and f"{len(rows) - 3} of {len(rows)} samples are lost" in defect.what


def test_an_index_row_that_leads_astray_is_found(output: Path) -> None:
    tar, rows = first(output, "text")
    path = tar.with_name(f"{tar.stem}.index.parquet")
    rows[1]["members"][0]["offset"] += 512
    pq.write_table(pq.read_table(path).from_pylist(rows, pq.read_schema(path)), path)
    about = json.loads((output / "shards" / "shards.json").read_text())
    for entry in about["shards"]:
        if entry["tar"] == str(tar.relative_to(output / "shards")):
            entry["index_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (output / "shards" / "shards.json").write_text(json.dumps(about))
    (defect,) = check(output).defects
    assert defect.key == rows[1]["key"] and "the index says" in defect.what


@pytest.mark.parametrize("folder", ["pages", "measures", "images", "scores", "documents"])
@pytest.mark.parametrize("damage", ["gone", "cut off", "flipped"])
def test_a_damaged_part_of_a_table_is_named(output: Path, folder: str, damage: str) -> None:
    table = json.loads((output / folder / "_manifest.json").read_text())["files"][folder]
    part = max((output / file for file in table), key=lambda p: p.stat().st_size)
    if damage == "gone":
        part.unlink()
    elif damage == "cut off":
        part.write_bytes(part.read_bytes()[:-100])
    else:
        chunk = pq.read_metadata(part).row_group(0).column(0)
        flip(part, (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 3)
    (defect,) = check(output).defects
    assert defect.file == str(part.relative_to(output))


def test_strangers_beside_the_shards_are_a_note(output: Path) -> None:
    (output / "shards" / "text" / "copy.tar").write_bytes(b"")
    report = check(output)
    assert report.defects == [] and "text/copy.tar" in report.notes[0]


def test_the_command(output: Path) -> None:
    done = weft("verify", str(output), JAVA_HOME="/nowhere")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.endswith("all good\n")
    tar, rows = first(output, "text")
    flip(tar, rows[0]["members"][0]["offset"])
    done = weft("verify", str(output))
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and rows[0]["key"] in lines[0] and tar.name in lines[0]
    assert f"weft shard --output {output} --overwrite" in lines[-1]
    told = json.loads(weft("verify", str(output), "--json").stdout)
    assert {d["key"] for d in told["defects"]} == {rows[0]["key"]}
    assert weft("verify", str(output / "pages")).returncode == 2
