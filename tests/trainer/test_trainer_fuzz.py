"""Mutants of what the trainer reads, the same ones each time: one clear line, or a sample that is skipped and counted.

What costs more than linear time hangs here until the time limit of tests ends it.
"""

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmark_files import write
from open_clip.transform import PreprocessCfg
from shardwriter import caption_sample, drawing, interleaved_sample, text_sample, write_shards

from pipeline.inspect.verify import verify_output
from schemas.errors import IntegrityError, RecipeError, WeftError
from schemas.shards import LISTING, parse_listing
from trainer.config import TrainConfig
from trainer.data.batches import framing
from trainer.data.shards import Instruction, Instructions, open_shards
from trainer.data.streams import RowSource, SampledRow
from trainer.evaluate.run import Settings, add_shots, examples
from trainer.evaluate.tasks import TASKS
from trainer.tokenizer import Tokenizer

Config = Callable[..., TrainConfig]
SPLICES = (
    b"", b"\0" * 40, b"\xff" * 40, b"\xed\xa0\x80", b"\n", b"\r", b"\t", b",", b'"', b"'", b"{", b"}", b"[",
    b"[" * 20_000,
    b'{"a":' * 5_000, b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"9" * 19, b"9" * 5_000, b'"\\ud800"',
    b'"\\u0000"', b"../../x", b"/etc/passwd", b"<![", b"<!DOCTYPE [", b"<div>" * 2_000, b"&#x110000;", b"\xef\xbb\xbf",
    b"\xff\xd8\xff\xe0", b"PAR1", b"ustar", b"a" * 5_000, "\u2028\u202e".encode(),
)  # fmt: skip
SAMPLES = {"caption": 6, "interleaved": 4, "text": 6}


def mutate(data: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(mutant) + 1)
        end = min(len(mutant), at + chance.choice((1, 4, 30, 400)))
        match chance.randrange(7):
            case 0 | 1:
                mutant[at:at] = chance.choice(SPLICES)
            case 2:
                mutant[at:end] = chance.choice(SPLICES)
            case 3:
                mutant[at:end] = chance.randbytes(end - at)
            case 4:
                del mutant[at:end]
            case 5:
                mutant[at:at] = mutant[at:end] * chance.choice((1, 2, 50))
            case 6:
                del mutant[at:]
    return bytes(mutant)


def assert_one_line(told: object) -> None:
    assert str(told) and len(str(told).splitlines()) == 1 and len(str(told)) < 1500, str(told)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    corpora = {
        "caption": [caption_sample(f"c{i}", f"disc {i}", drawing("red", i)) for i in range(SAMPLES["caption"])],
        "interleaved": [
            interleaved_sample(f"d{i}", [f"First {i}.", drawing("blue", i), "Last."])
            for i in range(SAMPLES["interleaved"])
        ],
        "text": [text_sample(f"t{i}", f"The harbour, number {i}.") for i in range(SAMPLES["text"])],
    }
    return write_shards(tmp_path / "shards", corpora)


def read_all(shards: Path, tokenizer: Tokenizer, config: TrainConfig) -> dict[str, list[SampledRow]]:
    """Read each sample of all corpora once."""
    opened = open_shards(str(shards), on_missing="skip")
    source = RowSource(opened, tokenizer, config, framing(PreprocessCfg(size=32)), 0, 1, once=True)
    return {name: list(rows(source, name)) for name, corpus in opened.corpora.items() if len(corpus)}


def rows(source: RowSource, corpus: str) -> Iterator[SampledRow]:
    for turn in range(100):
        row = source.take(corpus, turn)
        yield row
        if not row.num_tokens:
            return
    pytest.fail("the epoch does not end")


def keys_of(drawn: list[SampledRow]) -> set[str]:
    for told in (reason for row in drawn for _, reason in row.skipped):
        assert_one_line(told)
    return {name for row in drawn for name, _ in row.skipped if "." not in name}


def test_bytes_of_tars(shards: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    """A mutant of the same size costs the samples that it damages, all counted; one of another size is cut or lost."""
    chance, tars = random.Random(20), sorted(shards.glob("*/*.tar"))
    assert {
        name: sum(row.num_segments for row in drawn) for name, drawn in read_all(shards, tokenizer, tiny()).items()
    } == (SAMPLES)
    for number in range(300):
        path = tars[number % len(tars)]
        sound = path.read_bytes()
        mutant = mutate(sound, chance)
        if number % 4:
            mutant = mutant[: len(sound)].ljust(len(sound), b"\0")
        path.write_bytes(mutant)
        drawn = read_all(shards, tokenizer, tiny())
        for name, of_corpus in drawn.items():
            lost = SAMPLES[name] - sum(row.num_segments for row in of_corpus) - len(keys_of(of_corpus))
            assert lost == 0 or (lost > 0 and len(mutant) != len(sound) and name in path.name), (number, name)
        if number % 3 == 0:
            found = verify_output(str(shards), True, 1).defects
            assert mutant == sound or found, number  # tests/jobs/test_jobs_verify.py has more
            for defect in found:
                assert_one_line(defect)
        path.write_bytes(sound)


@pytest.mark.parametrize("kind", ["listing", "index"])
def test_bytes_of_listings_and_indexes(shards: Path, tokenizer: Tokenizer, tiny: Config, kind: str) -> None:
    """An index is mutated with its sum in the listing right, as who publishes shards could."""
    chance, listing = random.Random(f"20 {kind}"), shards / LISTING
    told, names = listing.read_bytes(), sorted(shards.glob("*/*.parquet"))
    for number in range(300):
        path = listing if kind == "listing" else names[number % len(names)]
        sound = path.read_bytes()
        path.write_bytes(mutate(sound, chance))
        if kind == "index":
            entries: dict[str, Any] = json.loads(told)
            for entry in entries["shards"]:
                entry["index_sha256"] = hashlib.sha256((shards / entry["index"]).read_bytes()).hexdigest()
            listing.write_text(json.dumps(entries))
        try:
            parse_listing(listing.read_bytes(), LISTING)
            for drawn in read_all(shards, tokenizer, tiny()).values():
                keys_of(drawn)
        except WeftError as error:
            assert_one_line(error)
        if number % 3 == 0:
            for defect in verify_output(str(shards), True, 1).defects:
                assert_one_line(defect)
        path.write_bytes(sound)
        listing.write_bytes(told)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_bytes_of_benchmarks(task: str, tmp_path: Path) -> None:
    benchmark = write(task, tmp_path / "benchmark", 4)
    chance = random.Random(f"20 {task}")
    files = sorted(
        path for path in benchmark.data.rglob("*") if path.is_file() and path.suffix not in (".jpg", ".JPEG", ".png")
    )
    for number in range(60):
        path = files[number % len(files)]
        sound = path.read_bytes()
        path.write_bytes(mutate(sound, chance))
        reading = TASKS[task]
        try:
            found = examples(reading, benchmark.data, benchmark.output, Settings())
            if reading.read_shots is not None:
                add_shots(reading, benchmark.data, benchmark.output, Settings(shots=1), found)
            for example in found:
                assert example.tokenizer.encode()
        except WeftError as error:
            assert_one_line(error)
        path.write_bytes(sound)
    shutil.rmtree(benchmark.data)


FORMS = [
    {"instruction": "Name a colour.", "input": "Of the sea.", "output": "Blue."},
    {"instruction": "x", "instances": [{"instruction_with_input": "Name a bird.", "output": "A tit.", "input": ""}],
     "reformulations": [{"instruction_with_input": "Which bird?", "output": "A wren."}]},
    {"inputs": "Is it so?", "targets": "No."},
]  # fmt: skip


def test_bytes_of_instructions(tmp_path: Path) -> None:
    chance, path = random.Random(20), tmp_path / "instructions.jsonl"
    sound = "".join(json.dumps(form) + "\n" for form in FORMS).encode()
    path.write_bytes(sound)
    assert len(Instructions([str(path)])) == 4
    for number in range(600):
        mutant = mutate(sound, chance)
        path.write_bytes(mutant)
        try:
            opened = Instructions([str(path)])
        except RecipeError as error:
            assert_one_line(error)
            continue
        num_lines = sum(bool(line.strip()) for line in mutant.split(b"\n"))
        assert len(opened) >= num_lines, f"mutant {number}: a line vanishes"
        samples = [sample for sample in opened.samples(0, len(opened)) if sample is not None]
        for sample, body in zip(samples, opened.bodies(samples), strict=True):
            try:
                example = opened.example(sample, body)
            except IntegrityError as error:
                assert_one_line(error)
            else:
                assert isinstance(example, Instruction) and example.prompt.strip() and example.output.strip()
                assert (example.prompt + example.output).encode()
