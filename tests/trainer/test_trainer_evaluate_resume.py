"""Resuming: stored answers are reused, unless the model or the prompt differs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from benchmark_files import BenchmarkFiles, write

from schemas.errors import PathError
from trainer.evaluate.model import EncodedPrompt, Reader
from trainer.evaluate.run import ResponseCache, Result, Settings, add_shots, evaluate
from trainer.evaluate.task import AnswerMode, Completion
from trainer.evaluate.tasks import TASKS
from trainer.tokenizer import Tokenizer

VQAV2 = TASKS["vqav2"]
BATCH = Settings(batch=2)


class StoppingAdapter:
    """Answers so many batches, half of the questions wrongly, and then raises KeyboardInterrupt."""

    def __init__(self, batches: int = 1000) -> None:
        self.batches = batches
        self.answered: list[str] = []

    def answer(self, mode: AnswerMode, encoded: Sequence[EncodedPrompt]) -> list[Completion]:
        if not self.batches:
            raise KeyboardInterrupt
        self.batches -= 1
        self.answered += [one.example.id for one in encoded]
        return [
            Completion(one.example.correct[0] if int(one.example.id) // 1000 % 2 else "grey", (-0.5, -2e-9))
            for one in encoded
        ]


@pytest.fixture
def benchmark(tmp_path: Path) -> BenchmarkFiles:
    return write("vqav2", tmp_path, 12)


@pytest.fixture
def reader(tokenizer: Tokenizer) -> Reader:
    return Reader(tokenizer, 2, 4096)


def run(
    benchmark: BenchmarkFiles,
    reader: Reader,
    adapter: StoppingAdapter,
    settings: Settings = BATCH,
    identity: str = "one",
) -> Result:
    return evaluate(VQAV2, benchmark.data, benchmark.output, settings, adapter, identity, reader)


def stopped(benchmark: BenchmarkFiles, reader: Reader, batches: int) -> list[str]:
    """Start, and stop after some batches; return the ids of the answered examples."""
    adapter = StoppingAdapter(batches)
    with pytest.raises(KeyboardInterrupt):
        run(benchmark, reader, adapter)
    return adapter.answered


def test_a_resumed_evaluation_equals_an_uninterrupted_one(benchmark: BenchmarkFiles, reader: Reader) -> None:
    whole = run(replace(benchmark, output=benchmark.output / "whole"), reader, StoppingAdapter())
    assert 0 < whole.scores["accuracy"].value < 100
    first = stopped(benchmark, reader, 3)
    assert len(first) == 6
    rest = StoppingAdapter()
    assert run(benchmark, reader, rest) == whole
    assert sorted(first + rest.answered) == sorted(example.id for example in benchmark.examples)
    none = StoppingAdapter(0)
    assert run(benchmark, reader, none) == whole
    assert run(benchmark, reader, none, replace(BATCH, batch=5)) == whole  # the batch size does not matter
    few = run(benchmark, reader, none, replace(BATCH, limit=5))
    assert few.num_examples == 5


@pytest.mark.parametrize("num_bytes", [1, 2, 30])
def test_a_truncated_line_is_answered_again(benchmark: BenchmarkFiles, reader: Reader, num_bytes: int) -> None:
    """A line without its line break is complete; a shorter one is skipped, and the next answer starts a new line."""
    whole = run(replace(benchmark, output=benchmark.output / "whole"), reader, StoppingAdapter())
    first = stopped(benchmark, reader, 2)
    path = benchmark.output / "vqav2" / "0-shot-0.jsonl"
    path.write_bytes(path.read_bytes()[:-num_bytes])
    rest = StoppingAdapter()
    assert run(benchmark, reader, rest) == whole
    assert len(rest.answered) == 12 - 4 + (num_bytes > 1)
    assert (first[-1] in rest.answered) == (num_bytes > 1)
    lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
    assert len(lines) == 12 and all(json.loads(line)["id"] for line in lines)


@pytest.mark.parametrize(
    "line", ["", "[]", "{}", '{"key": "x"}', '{"key": "x", "text": "a", "log_p": ["b"]}', "\xff\x00"]
)
def test_malformed_lines_are_skipped(tmp_path: Path, line: str) -> None:
    with ResponseCache(tmp_path, "0-shot", 0) as kept:
        kept.add([("a", "1", Completion('"ü\u2028\n', (-0.1, float("-inf"))))])
    with (tmp_path / "0-shot-1.jsonl").open("wb") as file:
        file.write(line.encode("latin-1") + b'\n{"key": "b", "text": "x", "log_p": []}')
    with ResponseCache(tmp_path, "0-shot", 1) as kept:
        assert kept.known() == {"a": Completion('"ü\u2028\n', (-0.1, float("-inf"))), "b": Completion("x")}


def test_another_model_or_other_shots_need_new_answers(benchmark: BenchmarkFiles, reader: Reader) -> None:
    run(benchmark, reader, StoppingAdapter())
    for settings, identity, num_answered in (
        (BATCH, "another", 12),
        (replace(BATCH, seed=1), "one", 0),  # without shots and limit, the seed has no effect
        (replace(BATCH, shots=2), "one", 12),
        (replace(BATCH, shots=2), "one", 0),
        (replace(BATCH, shots=2, seed=1), "one", differing(benchmark, 0, 1)),
        (replace(BATCH, shots=4), "one", 12),
        (BATCH, "one", 0),
    ):
        adapter = StoppingAdapter()
        run(benchmark, reader, adapter, settings, identity)
        assert len(adapter.answered) == num_answered


def differing(benchmark: BenchmarkFiles, *seeds: int) -> int:
    """Count the examples whose two shots differ with another seed."""
    one, other = (
        add_shots(VQAV2, benchmark.data, benchmark.output, Settings(2, seed=s), benchmark.examples) for s in seeds
    )
    number = sum(a != b for a, b in zip(one, other, strict=True))
    assert number > 6
    return number


def test_the_longest_prompt_is_first(benchmark: BenchmarkFiles, reader: Reader, tokenizer: Tokenizer) -> None:
    adapter = StoppingAdapter()
    run(benchmark, reader, adapter, replace(BATCH, batch=1))
    length = {example.id: len(tokenizer.encode(example.prompt)) for example in benchmark.examples}
    lengths = [length[id] for id in adapter.answered]
    assert lengths == sorted(lengths, reverse=True) and len(set(lengths)) > 1


def test_an_output_that_cannot_be_written_is_an_error(benchmark: BenchmarkFiles, reader: Reader) -> None:
    benchmark.output.write_text("a file")
    with pytest.raises(PathError, match=r"cannot write to .*; choose another --output"):
        run(benchmark, reader, StoppingAdapter())
