"""`weft verify`: a complete output has no defects; each kind of damage is found, with its file and sample."""

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from runs import running, tree_of, weft
from webs import Finished

from pipeline.inspect.verify import Report, verify_output
from schemas.integrity import SEAL, seal, sum_folder
from tests.processes import is_alive
from trainer import train_tokenizer as tokenizers


@pytest.fixture
def output(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.output, tmp_path / "out"))


def check(output: Path, deep: bool = True) -> Report:
    return verify_output(str(output), deep, 1)


def listing(output: Path) -> list[dict[str, Any]]:
    return json.loads((output / "shards" / "shards.json").read_text())["shards"]


def first(output: Path, corpus: str) -> tuple[Path, list[dict[str, Any]]]:
    """Return a corpus' first tar and its index."""
    entry = next(e for e in listing(output) if e["corpus"] == corpus and e["split"] == "train")
    return output / "shards" / entry["tar"], pq.read_table(output / "shards" / entry["index"]).to_pylist()


def flip(path: Path, offset: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= bit
    path.write_bytes(data)


@pytest.mark.parametrize("deep", [True, False])
def test_a_finished_run_has_no_defects(output: Path, deep: bool) -> None:
    report = check(output, deep)
    assert (report.defects, report.notes) == ([], [])
    assert report.counts["samples"] == sum(e["num_samples"] for e in listing(output))
    assert report.counts["shards"] == len(listing(output))


def test_shards_alone_have_no_defects_in_several_processes(output: Path) -> None:
    assert verify_output(str(output / "shards"), True, 2).defects == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes(output: Path, number: signal.Signals) -> None:
    with running(output, ["verify", str(output), "--processes", "2"]) as run:
        while len(processes := tree_of(run.process.pid)) < 3:  # what starts the two is one more
            assert run.process.poll() is None, run.log()
            time.sleep(0.01)
        os.killpg(run.process.pid, number)
        assert run.end() == 128 + number, run.log()
        assert run.said == [f"weft: interrupted by {number.name}; run the same command to start again\n"]
        deadline = time.monotonic() + 10
        while any(map(is_alive, processes)):
            assert time.monotonic() < deadline, "a process outlives the check"
            time.sleep(0.01)


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


def test_a_tar_and_the_images_it_was_made_of_are_two_defects(output: Path) -> None:
    tar, rows = first(output, "caption")
    flip(tar, rows[0]["members"][0]["offset"])
    part = max((output / "images").rglob("*.parquet"), key=lambda path: path.stat().st_size)
    flip(part, part.stat().st_size // 2)
    whats = {d.file: d.what for d in check(output).defects}
    assert whats.keys() == {str(tar.relative_to(output)), str(part.relative_to(output))}
    assert "cannot be read" not in whats[str(tar.relative_to(output))]


def test_a_truncated_tar_names_the_position(output: Path) -> None:
    tar, rows = first(output, "caption")
    member = rows[3]["members"][0]
    with tar.open("r+b") as file:
        file.truncate(member["offset"] + 10)
    (defect,) = check(output).defects
    assert defect.key == rows[3]["key"] and f"{len(rows) - 3} of {len(rows)} samples are lost" in defect.what


def test_a_wrong_index_row_is_found(output: Path) -> None:
    tar, rows = first(output, "text")
    path = tar.with_name(f"{tar.stem}.index.parquet")
    rows[1]["members"][0]["offset"] += 512
    pq.write_table(pq.read_table(path).from_pylist(rows, pq.read_schema(path)), path)
    about = json.loads((output / "shards" / "shards.json").read_text())
    for entry in about["shards"]:
        if entry["tar"] == str(tar.relative_to(output / "shards")):
            entry["index_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    del about[SEAL]  # as an older release wrote it
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


def flipped_files(output: Path, files: list[Path], random: Random, deep: bool) -> None:
    """Flip one bit in each of some files, and check that exactly these are named."""
    before = {path: path.read_bytes() for path in files}
    for path in files:
        flip(path, random.randrange(len(before[path])), 1 << random.randrange(8))
    named = {defect.file for defect in check(output, deep).defects}
    for path, data in before.items():
        path.write_bytes(data)
    assert named == {str(path.relative_to(output)) for path in files}


def is_document(path: Path) -> bool:
    """Return whether a file describes others, which are not checked while it is damaged."""
    return path.name in ("_manifest.json", "shards.json", "sums.json", "tokenizer.json")


@pytest.mark.parametrize("deep", [True, False])
def test_300_flipped_bits_are_found(output: Path, deep: bool) -> None:
    """One in every kind of file, except those that docs/operations.md lists as not checked."""
    tokenizers.train_tokenizer(str(output), str(output / "tokenizer"), vocab_size=500)
    checkpoint = output / "checkpoints" / "step-00000001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_bytes(seal({"step": 1}))
    (checkpoint / "shard-00001-model-00001-of-00001.safetensors").write_bytes(Random(1).randbytes(5000))
    sum_folder(checkpoint)
    assert check(output, deep).defects == []
    files = sorted(path for path in output.rglob("*") if path.is_file() and path.stat().st_size)
    files = [path for path in files if path.relative_to(output).parts[0] not in ("_events", "sites")]
    documents = [path for path in files if is_document(path)]
    crcs = [path for path in files if path.suffix == ".crc"]
    others = [path for path in files if path not in documents and path not in crcs]
    kinds = {path.suffix if path.suffix != ".json" else path.parent.name for path in files}
    assert {".parquet", ".crc", ".tar", ".model", ".safetensors", "_config", "_commits", "tokenizer"} <= kinds
    random, num_flipped = Random(7), 0
    while num_flipped < 300:
        for of_kind in (documents, crcs, others):
            flipped_files(output, of_kind, random, deep)
            num_flipped += len(of_kind)
    assert check(output, deep).defects == []


def test_an_output_without_checksums_is_reported(output: Path) -> None:
    for path in output.rglob("*.json"):
        document = json.loads(path.read_text())
        if document.pop(SEAL, None):
            path.write_text(json.dumps({key: value for key, value in document.items() if key != "sums"}))
    report = check(output)
    assert (
        report.defects == [] and len(report.notes) == 1 and "an older release wrote no checksums of" in report.notes[0]
    )
    manifest = output / "scores" / "_manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert [(d.file, d.step) for d in check(output).defects] == [("scores/_manifest.json", "score")]


def test_unknown_files_beside_the_shards_give_a_note(output: Path) -> None:
    (output / "shards" / "text" / "copy.tar").write_bytes(b"")
    report = check(output)
    assert report.defects == [] and "text/copy.tar" in report.notes[0]


def test_the_command(output: Path) -> None:
    done = weft("verify", str(output), JAVA_HOME="/nowhere")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.endswith("no defects\n")
    tar, rows = first(output, "text")
    flip(tar, rows[0]["members"][0]["offset"])
    done = weft("verify", str(output))
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and rows[0]["key"] in lines[0] and tar.name in lines[0]
    assert f"weft shard --output {output} --overwrite" in lines[-1]
    told = json.loads(weft("verify", str(output), "--json").stdout)
    assert {d["key"] for d in told["defects"]} == {rows[0]["key"]}
    assert weft("verify", str(output / "pages")).returncode == 2
