"""Instruction tuning: file formats, the loss mask, the mixture of corpora, and starting from weights."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from open_clip.transform import PreprocessCfg
from training import assert_same_run, train

from schemas.errors import IntegrityError, PathError, RecipeError
from trainer import metrics
from trainer.cli import main
from trainer.config import TrainConfig, load
from trainer.data import packing
from trainer.data.loader import Loader
from trainer.data.packing import IGNORED
from trainer.data.shards import Instruction, Instructions, open_shards, with_instructions
from trainer.generate.chat import GenerateRequest, generate
from trainer.generate.engine import format_prompt
from trainer.load import load as load_saved
from trainer.load import sizes
from trainer.loop import run
from trainer.tokenizer import EOS, Tokenizer

Config = Callable[..., TrainConfig]
CAPITALS = {"France": "Paris", "Spain": "Madrid", "Italy": "Rome", "Norway": "Oslo"}
LINES: list[tuple[dict[str, object], list[Instruction]]] = [
    ({"instruction": "Name it.", "input": "a cat", "output": "cat"}, [Instruction("Name it.\na cat", "cat")]),
    ({"instruction": "Say yes.", "input": None, "output": "yes"}, [Instruction("Say yes.", "yes")]),
    ({"instruction": "Say no.", "output": "no", "source": "x"}, [Instruction("Say no.", "no")]),
    ({"inputs": "Is it so?", "targets": "It is.", "task": "t"}, [Instruction("Is it so?", "It is.")]),
    (
        {
            "instruction": "Add.",
            "instances": [
                {"input": "1 2", "instruction_with_input": "Add 1 2.", "constraints": "", "output": "3"},
                {"input": "2 2", "instruction_with_input": "Add 2 2.", "constraints": "", "output": "4"},
            ],
            "reformulations": [{"instruction": "Sum", "instruction_with_input": "Sum 1 2:", "output": "3"}],
        },
        [Instruction("Add 1 2.", "3"), Instruction("Add 2 2.", "4"), Instruction("Sum 1 2:", "3")],
    ),
]


def written(path: Path, rows: list[object]) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def instructions(tmp_path: Path) -> str:
    """Instructions that a small model can memorise."""
    rows = [{"instruction": f"Capital of {c}?", "input": "", "output": city} for c, city in CAPITALS.items()]
    return written(tmp_path / "capitals.jsonl", [*rows])


def test_every_published_form_is_read(tmp_path: Path) -> None:
    file = written(tmp_path / "all.jsonl", [line for line, _ in LINES])
    found = Instructions([file])
    samples = found.samples(0, len(found))
    bodies = found.bodies([s for s in samples if s is not None])
    read = [found.example(s, body) for s, body in zip(samples, bodies, strict=True) if s is not None]
    assert sorted(read, key=repr) == sorted((e for _, examples in LINES for e in examples), key=repr)
    two = Instructions([file, written(tmp_path / "more.jsonl", [LINES[1][0]])])
    assert len(two) == len(found) + 1 and two.fingerprint != found.fingerprint
    assert len(two.samples(3, len(two) + 5)) == len(two) - 3


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "7", '{"instruction": "a"}', '{"instruction": 1, "output": "b"}', '{"instruction": "", "output": "b"}',
     '{"inputs": "a", "targets": ""}', "[" * 9_999,
     '{"inputs": "a", "targets": "\\ud800"}', '{"instruction": "a", "instances": [{}]}',
     '{"instruction": "a", "output": 2}'],
)  # fmt: skip
def test_a_malformed_line_names_file_and_line(tmp_path: Path, line: str) -> None:
    found = Instructions([written(tmp_path / "f.jsonl", [LINES[1][0], line, LINES[2][0]])])
    assert len(found) == 3
    (sample,) = [s for s in found.samples(0, 3) if s is not None and s.key == "f.jsonl, line 2"]
    with pytest.raises(IntegrityError, match=r"f\.jsonl, line 2 is no instruction"):
        found.example(sample, found.bodies([sample])[0])


def test_files_without_instructions_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="has no line with an instruction"):
        Instructions([written(tmp_path / "f.jsonl", ["{}"])])
    with pytest.raises(PathError, match=r"none\.jsonl"):
        Instructions([str(tmp_path / "none.jsonl")])
    with pytest.raises(RecipeError, match="unpack it first"):
        Instructions([str(tmp_path / "f.jsonl.gz")])


def test_only_the_output_is_a_target(tokenizer: Tokenizer) -> None:
    document = packing.instruct(tokenizer, "Name it.\na cat", "a small cat", 64)
    prompt = format_prompt(tokenizer, "Name it.\na cat", [], 2, 64)
    output = [*tokenizer.encode("a small cat").tolist(), EOS]
    assert document.tokens_L.tolist() == [*prompt.tokens_L.tolist(), *output], "as `weft generate` formats it"
    assert document.tokens_L[document.loss_L].tolist() == output
    assert not document.cuts_L.any() and not document.images
    short = packing.instruct(tokenizer, "Name it.", "a small cat " * 30, 20)
    assert len(short.tokens_L) == 20 and short.loss_L.any()
    for instruction, output_text in (("Name it. " * 30, "a cat"), ("Name it.", "  ")):
        with pytest.raises(IntegrityError, match="for the instruction and"):
            packing.instruct(tokenizer, instruction, output_text, 20)


MIX = "data.sequences={instruct: 5, text: 2, caption: 7, interleaved: 1}"
BY_SEQUENCES = ("data.tokens_per_step=null", MIX)


def steps(data: Path, tokenizer: Tokenizer, config: TrainConfig, rank: int = 0, world: int = 1) -> Loader:
    shards = with_instructions(open_shards(str(data)), config.data.instructions)
    return Loader(shards, tokenizer, config, PreprocessCfg(size=32), rank, world)


def test_a_step_holds_the_configured_sequences(
    data: Path, tokenizer: Tokenizer, tiny: Config, instructions: str
) -> None:
    """Counted in the rows. A row of captions holds several, and a surplus is subtracted from later steps."""
    sampled: Counter[str] = Counter()
    with steps(data, tokenizer, tiny(*BY_SEQUENCES, f"data.instructions=[{instructions}]")) as loader:
        for number, step in enumerate(islice(loader, 6), 1):
            most: Counter[str] = Counter()
            for batch in step.micro_batches:
                segments = batch.segment_ids_BT.amax(1)
                rows = (segments > 0).sum() if batch.corpus in ("text", "interleaved") else segments.sum()
                sampled[batch.corpus] += int(rows)
                most[batch.corpus] = max(most[batch.corpus], int(segments.max()))
            for corpus, quota in {"instruct": 5, "text": 2, "caption": 7, "interleaved": 1}.items():
                spare = 0 if corpus in ("text", "interleaved") else most[corpus]
                assert number * quota <= sampled[corpus] <= number * quota + spare, corpus


def test_a_mixture_resumes_on_another_number_of_processes(
    data: Path, tokenizer: Tokenizer, tiny: Config, instructions: str
) -> None:
    config = tiny(*BY_SEQUENCES, f"data.instructions=[{instructions}]")
    with steps(data, tokenizer, config) as alone:
        expected = [step.digest for step in islice(alone, 7)]
    with steps(data, tokenizer, config, rank=1, world=2) as first:
        assert [step.digest for step in islice(first, 3)] == expected[:3]
        state = json.loads(json.dumps(first.state()))
    with steps(data, tokenizer, config, rank=2, world=3) as second:
        second.load_state(state)
        assert [step.digest for step in islice(second, 4)] == expected[3:]


def test_instructions_are_never_targets(data: Path, tokenizer: Tokenizer, tiny: Config, instructions: str) -> None:
    answers = {(*tokenizer.encode(city).tolist(), EOS) for city in CAPITALS.values()}
    only = "data.sequences={instruct: 9}"
    seen: set[tuple[int, ...]] = set()
    with steps(
        data, tokenizer, tiny("data.tokens_per_step=null", only, f"data.instructions=[{instructions}]")
    ) as loader:
        for step in islice(loader, 4):
            for batch in step.micro_batches:
                assert batch.corpus == "instruct"
                for targets, segments in zip(batch.targets_BT, batch.segment_ids_BT, strict=True):
                    for segment in range(1, int(segments.max()) + 1):
                        learned = targets[(segments == segment) & (targets != IGNORED)]
                        seen.add(tuple(learned.tolist()))
    assert seen == answers


def test_a_malformed_line_is_skipped_and_reported(
    data: Path, tokenizer: Tokenizer, tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "f.jsonl", [LINES[1][0], "", "{", {"instruction": "long " * 99, "output": "b"}])
    only = (
        "data.tokens_per_step=null",
        "data.sequences={instruct: 4}",
        f"data.instructions=[{file}]",
        "data.streams=1",
    )
    with steps(data, tokenizer, tiny(*only)) as loader:
        list(islice(loader, 2))
        assert sorted(loader.skipped.reasons) == ["f.jsonl, line 3", "f.jsonl, line 4"]
    errors = capsys.readouterr().err
    assert "f.jsonl, line 3 is no instruction" in errors and "f.jsonl, line 4 takes" in errors


def test_tuning_starts_from_weights_with_their_sizes(
    data: Path, tiny: Config, tmp_path: Path, instructions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first"
    train(tiny("model.dropout=0"), data, first)
    more = ("steps=40", "data.sequences={instruct: 8, caption: 2}", f"data.instructions=[{instructions}]",
            "optimizer.learning_rate=0.01", "optimizer.warmup_steps=2", "checkpoint.every_steps=30")  # fmt: skip
    config = load("instruct", more, sizes(str(first)))
    assert config.model == tiny("model.dropout=0").model and config.data.sequence_length == 64
    summary = train(config, data, tmp_path / "tuned")
    assert summary.last_loss["instruct"] < 0.1 < 2 < summary.first_loss["instruct"]
    saved = load_saved(str(tmp_path / "tuned"), str(data / "tokenizer"))
    requests = [GenerateRequest(f"Capital of {country}?") for country in CAPITALS]
    assert list(generate(saved, requests, max_tokens=8)) == list(CAPITALS.values())

    stopped = tmp_path / "stopped"  # as a run that was killed after step 30
    shutil.copytree(tmp_path / "tuned", stopped)
    for later in ("step-00000040", "model"):
        shutil.rmtree(stopped / later)
    log = (stopped / metrics.FILE).read_text().splitlines(keepends=True)
    (stopped / metrics.FILE).write_text("".join(log[:30]))
    (first / "model" / "model.safetensors").write_bytes(b"a resumed run does not read these again")
    train(config, data, stopped)
    assert_same_run(tmp_path / "tuned", stopped)


def test_errors_at_the_start_give_one_line(
    data: Path, tiny: Config, tmp_path: Path, instructions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    run(tiny("steps=1"), str(data), str(data / "tokenizer"), str(tmp_path / "one"))
    capsys.readouterr()
    where = ["--data", str(data), "--output", str(tmp_path / "out")]
    files = ["--set", f"data.instructions=[{instructions}]"]
    for arguments, message in (
        (["--config", "instruct", *files], "start from weights: --from CHECKPOINT"),
        (["--config", "instruct", "--from", str(tmp_path / "none"), *files], "no checkpoint in"),
        (["--config", "instruct", "--from", str(tmp_path / "one")], "go together"),
        (["--config", "debug", "--set", "data.sequences={text: 1}"], "data.tokens_per_step or data.sequences"),
        (
            ["--config", "instruct", "--from", str(tmp_path / "one"), *files, "--set", "model.width=128"],
            "model.width is 64 there",
        ),
        (
            ["--config", "instruct", "--from", str(tmp_path / "one"), "--set", "data.instructions=[no.jsonl]"],
            "no.jsonl",
        ),
    ):
        assert main(["train", *arguments, *where]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and message in error, error
