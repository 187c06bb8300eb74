"""Resuming: what was answered is not asked again, unless another answers or something else is asked."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from examination import Exam, write

from schemas.errors import PathError
from trainer.evaluate.model import EncodedPrompt, Reader
from trainer.evaluate.run import ResponseCache, Result, Settings, evaluate, show_shots
from trainer.evaluate.task import AnswerMode, Completion
from trainer.evaluate.tasks import TASKS
from trainer.tokenizer import Tokenizer

VQAV2 = TASKS["vqav2"]
BATCH = Settings(batch=2)


class Stopping:
    """One who answers so many batches, and then fails; by what is asked alone, half of it wrongly."""

    def __init__(self, batches: int = 1000) -> None:
        self.batches = batches
        self.asked: list[str] = []

    def answer(self, mode: AnswerMode, asked: Sequence[EncodedPrompt]) -> list[Completion]:
        if not self.batches:
            raise KeyboardInterrupt
        self.batches -= 1
        self.asked += [one.example.id for one in asked]
        return [
            Completion(one.example.right[0] if int(one.example.id) // 1000 % 2 else "grey", (-0.5, -2e-9))
            for one in asked
        ]


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    return write("vqav2", tmp_path, 12)


@pytest.fixture
def reader(words: Tokenizer) -> Reader:
    return Reader(words, 2, 4096)


def run(exam: Exam, reader: Reader, who: Stopping, settings: Settings = BATCH, identity: str = "one") -> Result:
    return evaluate(VQAV2, exam.data, exam.output, settings, who, identity, reader)


def stopped(exam: Exam, reader: Reader, batches: int) -> list[str]:
    """Begin, and stop after some batches; return what was asked."""
    who = Stopping(batches)
    with pytest.raises(KeyboardInterrupt):
        run(exam, reader, who)
    return who.asked


def test_what_is_left_is_asked_and_the_result_is_the_undisturbed_one(exam: Exam, reader: Reader) -> None:
    whole = run(replace(exam, output=exam.output / "whole"), reader, Stopping())
    assert 0 < whole.scores["accuracy"].value < 100
    first = stopped(exam, reader, 3)
    assert len(first) == 6
    rest = Stopping()
    assert run(exam, reader, rest) == whole
    assert sorted(first + rest.asked) == sorted(example.id for example in exam.asked)
    nobody = Stopping(0)
    assert run(exam, reader, nobody) == whole
    assert run(exam, reader, nobody, replace(BATCH, batch=5)) == whole  # a batch is no part of what is asked
    few = run(exam, reader, nobody, replace(BATCH, limit=5))
    assert few.num_examples == 5


@pytest.mark.parametrize("num_bytes", [1, 2, 30])
def test_a_line_that_was_cut_is_asked_again(exam: Exam, reader: Reader, num_bytes: int) -> None:
    """Cut by its line break alone it is whole; else it is passed over, and what is written next begins a line."""
    whole = run(replace(exam, output=exam.output / "whole"), reader, Stopping())
    first = stopped(exam, reader, 2)
    path = exam.output / "vqav2" / "0-shot-0.jsonl"
    path.write_bytes(path.read_bytes()[:-num_bytes])
    rest = Stopping()
    assert run(exam, reader, rest) == whole
    assert len(rest.asked) == 12 - 4 + (num_bytes > 1)
    assert (first[-1] in rest.asked) == (num_bytes > 1)
    lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
    assert len(lines) == 12 and all(json.loads(line)["id"] for line in lines)


@pytest.mark.parametrize(
    "line", ["", "[]", "{}", '{"key": "x"}', '{"key": "x", "text": "a", "log_p": ["b"]}', "\xff\x00"]
)
def test_lines_that_are_no_answers_are_passed_over(tmp_path: Path, line: str) -> None:
    with ResponseCache(tmp_path, "0-shot", 0) as kept:
        kept.add([("a", "1", Completion('"ü\u2028\n', (-0.1, float("-inf"))))])
    with (tmp_path / "0-shot-1.jsonl").open("wb") as file:
        file.write(line.encode("latin-1") + b'\n{"key": "b", "text": "x", "log_p": []}')
    with ResponseCache(tmp_path, "0-shot", 1) as kept:
        assert kept.known() == {"a": Completion('"ü\u2028\n', (-0.1, float("-inf"))), "b": Completion("x")}


def test_another_model_another_number_and_other_shots_are_asked_anew(exam: Exam, reader: Reader) -> None:
    run(exam, reader, Stopping())
    for settings, identity, num_asked in (
        (BATCH, "another", 12),
        (replace(BATCH, seed=1), "one", 0),  # without shots and limit, chance has no part
        (replace(BATCH, shots=2), "one", 12),
        (replace(BATCH, shots=2), "one", 0),
        (replace(BATCH, shots=2, seed=1), "one", differing(exam, 0, 1)),
        (replace(BATCH, shots=4), "one", 12),
        (BATCH, "one", 0),
    ):
        who = Stopping()
        run(exam, reader, who, settings, identity)
        assert len(who.asked) == num_asked


def differing(exam: Exam, *seeds: int) -> int:
    """Count the examples whose two shots are others by another seed."""
    one, other = (show_shots(VQAV2, exam.data, exam.output, Settings(2, seed=s), exam.asked) for s in seeds)
    number = sum(a != b for a, b in zip(one, other, strict=True))
    assert number > 6
    return number


def test_the_longest_is_asked_first(exam: Exam, reader: Reader, words: Tokenizer) -> None:
    who = Stopping()
    run(exam, reader, who, replace(BATCH, batch=1))
    length = {example.id: len(words.encode(example.words)) for example in exam.asked}
    lengths = [length[id] for id in who.asked]
    assert lengths == sorted(lengths, reverse=True) and len(set(lengths)) > 1


def test_an_output_that_cannot_be_written_is_told(exam: Exam, reader: Reader) -> None:
    exam.output.write_text("a file")
    with pytest.raises(PathError, match=r"cannot write to .*; choose another --output"):
        run(exam, reader, Stopping())
