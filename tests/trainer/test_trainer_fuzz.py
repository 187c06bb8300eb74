"""Mutated input files of the trainer, with a fixed seed: an error of one line, or a skipped sample that is counted.

Code that takes more than linear time exceeds the time limit of the tests.
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


def mutate(data: bytes, rng: random.Random) -> bytes:
    mutant = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(mutant) + 1)
        end = min(len(mutant), at + rng.choice((1, 4, 30, 400)))
        match rng.randrange(7):
            case 0 | 1:
                mutant[at:at] = rng.choice(SPLICES)
            case 2:
                mutant[at:end] = rng.choice(SPLICES)
            case 3:
                mutant[at:end] = rng.randbytes(end - at)
            case 4:
                del mutant[at:end]
            case 5:
                mutant[at:at] = mutant[at:end] * rng.choice((1, 2, 50))
            case 6:
                del mutant[at:]
    return bytes(mutant)


def assert_one_line(error: object) -> None:
    assert str(error) and len(str(error).splitlines()) == 1 and len(str(error)) < 1500, str(error)


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
    for index in range(100):
        row = source.take(corpus, index)
        yield row
        if not row.num_tokens:
            return
    pytest.fail("the epoch does not end")


def keys_of(sampled: list[SampledRow]) -> set[str]:
    for message in (reason for row in sampled for _, reason in row.skipped):
        assert_one_line(message)
    return {name for row in sampled for name, _ in row.skipped if "." not in name}


def test_bytes_of_tars(shards: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    """A mutant of equal size loses only damaged samples, all counted; any other is a truncated or missing shard."""
    rng, tars = random.Random(20), sorted(shards.glob("*/*.tar"))
    assert {
        name: sum(row.num_segments for row in sampled) for name, sampled in read_all(shards, tokenizer, tiny()).items()
    } == (SAMPLES)
    for number in range(300):
        path = tars[number % len(tars)]
        intact = path.read_bytes()
        mutant = mutate(intact, rng)
        if number % 4:
            mutant = mutant[: len(intact)].ljust(len(intact), b"\0")
        path.write_bytes(mutant)
        sampled = read_all(shards, tokenizer, tiny())
        for name, of_corpus in sampled.items():
            lost = SAMPLES[name] - sum(row.num_segments for row in of_corpus) - len(keys_of(of_corpus))
            assert lost == 0 or (lost > 0 and len(mutant) != len(intact) and name in path.name), (number, name)
        if number % 3 == 0:
            found = verify_output(str(shards), True, 1).defects
            assert mutant == intact or found, number  # tests/jobs/test_jobs_verify.py has more
            for defect in found:
                assert_one_line(defect)
        path.write_bytes(intact)


@pytest.mark.parametrize("kind", ["listing", "index"])
def test_bytes_of_listings_and_indexes(shards: Path, tokenizer: Tokenizer, tiny: Config, kind: str) -> None:
    """An index is mutated, and its checksum in the listing is correct, as a hostile publisher could do."""
    rng, listing = random.Random(f"20 {kind}"), shards / LISTING
    original, names = listing.read_bytes(), sorted(shards.glob("*/*.parquet"))
    for number in range(300):
        path = listing if kind == "listing" else names[number % len(names)]
        intact = path.read_bytes()
        path.write_bytes(mutate(intact, rng))
        if kind == "index":
            entries: dict[str, Any] = json.loads(original)
            for entry in entries["shards"]:
                entry["index_sha256"] = hashlib.sha256((shards / entry["index"]).read_bytes()).hexdigest()
            listing.write_text(json.dumps(entries))
        try:
            parse_listing(listing.read_bytes(), LISTING)
            for sampled in read_all(shards, tokenizer, tiny()).values():
                keys_of(sampled)
        except WeftError as error:
            assert_one_line(error)
        if number % 3 == 0:
            for defect in verify_output(str(shards), True, 1).defects:
                assert_one_line(defect)
        path.write_bytes(intact)
        listing.write_bytes(original)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_bytes_of_benchmarks(task: str, tmp_path: Path) -> None:
    benchmark = write(task, tmp_path / "benchmark", 4)
    rng = random.Random(f"20 {task}")
    files = sorted(
        path for path in benchmark.data.rglob("*") if path.is_file() and path.suffix not in (".jpg", ".JPEG", ".png")
    )
    for number in range(60):
        path = files[number % len(files)]
        intact = path.read_bytes()
        path.write_bytes(mutate(intact, rng))
        reading = TASKS[task]
        try:
            found = examples(reading, benchmark.data, benchmark.output, Settings())
            if reading.read_shots is not None:
                add_shots(reading, benchmark.data, benchmark.output, Settings(shots=1), found)
            for example in found:
                assert example.prompt.encode()
        except WeftError as error:
            assert_one_line(error)
        path.write_bytes(intact)
    shutil.rmtree(benchmark.data)


FORMS = [
    {"instruction": "Name a colour.", "input": "Of the sea.", "output": "Blue."},
    {"instruction": "x", "instances": [{"instruction_with_input": "Name a bird.", "output": "A tit.", "input": ""}],
     "reformulations": [{"instruction_with_input": "Which bird?", "output": "A wren."}]},
    {"inputs": "Is it so?", "targets": "No."},
]  # fmt: skip


def test_bytes_of_instructions(tmp_path: Path) -> None:
    rng, path = random.Random(20), tmp_path / "instructions.jsonl"
    intact = "".join(json.dumps(form) + "\n" for form in FORMS).encode()
    path.write_bytes(intact)
    assert len(Instructions([str(path)])) == 4
    for number in range(600):
        mutant = mutate(intact, rng)
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
