"""`weft eval`: from a trained model and the files of benchmarks to the table and results.json."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from benchmark_files import BenchmarkFiles, write
from training import ROOT, train

from jobs.cli.app import main as weft_main
from trainer.cli import main
from trainer.config import TrainConfig
from trainer.evaluate import session
from trainer.evaluate.model import KosmosAdapter
from trainer.evaluate.raven.files import read
from trainer.evaluate.tasks import TASKS

Weft = Callable[..., tuple[object, str, str]]
NAMES = ("vqav2", "relative-size", "hateful")
WEFT = Path(sys.executable).parent / "weft"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1",
            "--nproc-per-node", "2", "-m", "trainer", "eval"]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(data: Path, tiny: Callable[..., TrainConfig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported weights after one step, with rows of 256 tokens."""
    folder = tmp_path_factory.mktemp("checkpoint") / "checkpoints"
    train(tiny("steps=1", "data.sequence_length=256"), data, folder)
    return folder / "model"


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkFiles:
    """The files of three benchmarks; the expected examples of the first."""
    root = tmp_path_factory.mktemp("benchmark")
    first, *_ = [write(name, root, 8) for name in NAMES]
    return first


@pytest.fixture
def weft(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Weft:
    """Run `weft`; return its exit status, standard output and standard error."""

    def run(*arguments: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["weft", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "120")
        with pytest.raises(SystemExit) as ended:
            weft_main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def results(output: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((output / "results.json").read_text())["results"]
    return found


def answers(output: Path, task: str, shots: int) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in (output / task / f"{shots}-shot-0.jsonl").read_text().splitlines()]
    return {line["id"]: line for line in lines}


def test_weft_eval_scores_the_stored_answers(
    checkpoint: Path, benchmark: BenchmarkFiles, weft: Weft, tmp_path: Path
) -> None:
    """The scores in results.json are those of the stored answers."""
    where = ["eval", "-c", checkpoint, "-d", benchmark.data, "-o", tmp_path / "out"]
    tasks = [word for name in NAMES for word in ("-t", name)]
    code, out, err = weft(*where, *tasks, "--shots", "0,2", "--batch", "3")
    assert code == 0, err
    rows = results(tmp_path / "out")
    assert [(r["task"], r["shots"], r["num_examples"]) for r in rows] == [
        (name, shots, 8) for name in sorted(NAMES) for shots in (0, 2)
    ]
    for row in rows:
        (metric, score), *_ = row["scores"].items()
        stored = answers(tmp_path / "out", row["task"], row["shots"])
        if row["task"] == "vqav2":
            correct = {example.id: example.correct for example in benchmark.examples}
            scores = [
                min(1.0, sum(o == stored[id]["text"] for n, o in enumerate(of) if n != left) / 3)
                for id, of in correct.items() for left in range(10)
            ]  # fmt: skip
            assert score["value"] == pytest.approx(100 * fmean(scores))
        table = [line.replace("│", " ").split()[:4] for line in out.splitlines()]
        assert [row["task"], str(row["shots"]), metric, f"{score['value']:.1f}"] in table
    assert rows[0]["paper"] == {"auc": 63.9} and rows[1]["paper"] == {}
    assert "63.9" in out
    again, out_again, _ = weft(*where, *tasks, "--shots", "0,2")
    assert (again, out_again) == (0, out) and results(tmp_path / "out") == rows
    weft(*where, "-t", "vqav2", "--limit", "2")
    assert [r["num_examples"] for r in results(tmp_path / "out")] == [8, 8, 8, 8, 2, 8]


def test_python_m_is_the_same_command(
    checkpoint: Path, benchmark: BenchmarkFiles, weft: Weft, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--task=hateful", "--data", str(benchmark.data), "--shots=1", "--seed=3", "--limit=6", "--rationale"]
    assert main(["eval", "--checkpoint", str(checkpoint), *options, "--output", str(tmp_path / "one")]) == 0
    out = capsys.readouterr().out
    assert "with rationale" in out
    assert weft("eval", "--checkpoint", checkpoint, *options, "--output", tmp_path / "two")[0] == 0
    assert results(tmp_path / "one") == results(tmp_path / "two")
    assert results(tmp_path / "one")[0]["rationale"] is True
    stored = {path.name for path in (tmp_path / "one" / "hateful").iterdir()}
    assert stored == {"rationale-0.jsonl", "1-shot-0.jsonl"}


def test_the_default_output_is_beside_the_weights(
    checkpoint: Path, benchmark: BenchmarkFiles, weft: Weft, tmp_path: Path
) -> None:
    """For a run's folder, in its exported weights. Results of another model are not kept."""
    run = Path(shutil.copytree(checkpoint.parent, tmp_path / "checkpoints")).parent
    assert weft("eval", "-c", run, "-d", benchmark.data, "-t", "relative-size")[0] == 0
    output = run / "checkpoints" / "model" / "evaluation"
    assert [row["task"] for row in results(output)] == ["relative-size"]
    (step,) = (run / "checkpoints").glob("step-*")
    tokenizer = checkpoint / "tokenizer"
    assert (
        weft("eval", "-c", step, "-d", benchmark.data, "-t", "hateful", "-o", output, "--tokenizer", tokenizer)[0] == 0
    )
    assert [row["task"] for row in results(output)] == ["hateful"]


def test_prompts_are_shown_without_an_evaluation(
    checkpoint: Path, benchmark: BenchmarkFiles, weft: Weft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KosmosAdapter, "answer", None)
    where = ["eval", "-c", checkpoint, "-d", benchmark.data, "-o", tmp_path / "out", "-t", "vqav2"]
    code, out, err = weft(*where, "--show-prompts", "2", "--shots", "1")
    assert (code, err) == (0, "")
    parts = out.strip().split("\n\n")
    assert len(parts) == 2 and not (tmp_path / "out" / "results.json").exists()
    for part, example in zip(parts, benchmark.examples, strict=False):
        assert part.startswith(f"vqav2 {example.id}: <s><image>[2 slots: COCO_train2014_")
        question = example.prompt.removeprefix("<image> ")
        assert part.endswith(f"<image>[2 slots: {example.images[0].name}]</image>{question}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-t", "vqa2"], "no task named vqa2 (did you mean vqav2?); there are: coco, flickr30k"),
        (["-t", "coco"], "dataset_coco.json"),
        (["-t", "vqav2", "-d", "none"], "no file none/v2_mscoco_val2014_annotations.json"),
        (["-t", "raven", "-d", "GENERATED", "--shots", "1"], "raven has no few-shot examples; use --shots 0"),
        (
            ["-t", "vqav2", "--shots", "8"],
            "; the model reads 240 at most, plus 16 for the answer; use fewer --shots",
        ),
        (
            ["-t", "raven", "-d", "GENERATED", "--rationale"],
            "--rationale is only for tasks with one image for each example",
        ),
        (["-t", "vqav2", "--shots", "0,few"], "--shots takes numbers such as 0,2,4,8, not '0,few'"),
        (["-t", "vqav2", "--shots=-1"], "--shots takes numbers such as 0,2,4,8, not '-1'"),
        (
            ["-t", "language:piqa", "--show-prompts", "1"],
            "do not work for language: tasks: the harness makes their prompts",
        ),
        (["-t", "language:piqa", "--rationale"], "do not work for language: tasks: the harness makes their prompts"),
        (["-t", "vqav2", "-c", "none"], "no checkpoint in none"),
        (["-t", "vqav2", "--tokenizer", "none"], "no tokenizer in none"),
        (["-t", "vqav2", "-o", "FILE"], "cannot write to"),
        (["-t", "vqav2", "-o", "BROKEN"], "results.json does not hold results of an evaluation"),
    ],
)
def test_user_errors_give_one_line(
    arguments: list[str], message: str, checkpoint: Path, benchmark: BenchmarkFiles, weft: Weft, tmp_path: Path
) -> None:
    (tmp_path / "FILE").write_text("")
    (tmp_path / "BROKEN").mkdir()
    (tmp_path / "BROKEN" / "results.json").write_text('{"results": [7], "identity"')
    if "GENERATED" in arguments:
        assert weft("raven", "-o", tmp_path / "GENERATED", "--number", "2")[0] == 0
    given = [str(tmp_path / word) if word.isupper() else word for word in arguments]
    usual = {"-c": str(checkpoint), "-d": str(benchmark.data), "-o": str(tmp_path / "out")}
    more = [word for option, value in usual.items() if option not in given for word in (option, value)]
    code, out, err = weft("eval", *given, *more)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and err.startswith("weft: ") and message in err
    assert main(["eval", *given, *more]) == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [("--batch", "0"), ("--batch", "few"), ("--limit", "0")],
)
def test_invalid_numbers_name_their_option(
    option: str, value: str, benchmark: BenchmarkFiles, weft: Weft, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = weft("eval", "-c", "none", "-d", benchmark.data, "-t", "vqav2", option, value)
    assert code == 2 and option in err
    assert main(["eval", "--checkpoint=none", f"--data={benchmark.data}", "--task=vqav2", f"{option}={value}"]) == 2
    assert option in capsys.readouterr().err


def test_weft_tasks_names_every_task_and_its_files(weft: Weft) -> None:
    code, out, _ = weft("tasks")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [*TASKS, "language:NAME"]
    assert "dataset_coco.json" in out and "raven.jsonl" in out


def test_weft_raven_writes_a_set_that_weft_eval_reads(checkpoint: Path, weft: Weft, tmp_path: Path) -> None:
    code, out, _ = weft("raven", "-o", tmp_path / "raven", "--number", "4", "--seed", "9")
    assert (code, out) == (0, f"4 matrices in {tmp_path / 'raven'}\n")
    assert [puzzle.id for puzzle in read(tmp_path / "raven")] == [f"9-{n:04}" for n in range(4)]
    assert weft("eval", "-c", checkpoint, "-d", tmp_path, "-t", "raven", "-o", tmp_path / "out")[0] == 0
    (row,) = results(tmp_path / "out")
    stored = answers(tmp_path / "out", "raven", 0)
    correct = [int(stored[p.id]["text"]) == p.answer for p in read(tmp_path / "raven")]
    assert row["scores"]["accuracy"]["value"] == pytest.approx(100 * fmean(correct))
    assert all(
        len(line["log_p"]) == 6 and max(line["log_p"]) == line["log_p"][int(line["text"])] for line in stored.values()
    )


def test_a_wrong_folder_is_found_before_processes_start(
    checkpoint: Path, benchmark: BenchmarkFiles, weft: Weft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "launch", lambda *_: pytest.fail("processes were started"))
    for task, message in (("coco", "dataset_coco.json"), ("hateful", "dev_seen.jsonl")):
        tasks = ["-t", "vqav2", "-t", task] if task == "coco" else ["-t", task]
        folder = benchmark.data if task == "coco" else tmp_path / "none"
        code, out, err = weft("eval", "-c", checkpoint, "-d", folder, *tasks, "-o", tmp_path / "o", "--processes", "2")
        assert (code, out) == (2, "")
        assert err.count("\n") == 1 and err.startswith("weft: ") and message in err


def test_a_missing_harness_is_found_before_the_evaluation(
    checkpoint: Path, benchmark: BenchmarkFiles, weft: Weft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    options = ["eval", "-c", checkpoint, "-d", benchmark.data, "-o", tmp_path, "-t", "vqav2", "-t", "language:piqa"]
    code, _, err = weft(*options)
    assert code == 2 and 'pip install "weft[language]"' in err and not list(tmp_path.iterdir())


def test_tasks_of_the_harness_are_in_the_same_table(checkpoint: Path, weft: Weft, tmp_path: Path) -> None:
    """With one and two processes; a custom task whose correct answer is the more likely of two by construction."""
    pytest.importorskip("lm_eval")
    data = write("relative-size", tmp_path, 4).data
    own = data / "language"
    own.mkdir()
    rows = [{"q": f"Number {n}", "options": ["is", "is it? Is it? Is it?"], "right": n % 3 == 0} for n in range(7)]
    (own / "rows.jsonl").write_text("".join(json.dumps(row | {"right": int(row["right"])}) + "\n" for row in rows))
    where = json.dumps({"data_files": {"test": str(own / "rows.jsonl")}, "cache_dir": str(tmp_path / "cache")})
    (own / "own.yaml").write_text(
        f"task: own\ndataset_path: json\ndataset_kwargs: {where}\ntest_split: test\noutput_type: multiple_choice\n"
        "doc_to_text: q\ndoc_to_target: right\ndoc_to_choice: options\nmetric_list: [{metric: acc}]\n"
    )
    options = ["-c", checkpoint, "-d", data, "-t", "language:own", "-t", "relative-size"]
    code, out, err = weft("eval", *options, "-o", tmp_path / "one")
    assert code == 0, err
    first, second = results(tmp_path / "one")
    assert (first["task"], first["num_examples"], second["task"]) == ("language:own", 7, "relative-size")
    assert first["scores"]["acc"]["value"] == pytest.approx(400 / 7) and " language:own " in out
    in_two(TORCHRUN, ["--checkpoint", checkpoint, "--data", data, "--task", "language:own"], tmp_path / "two")
    assert results(tmp_path / "two") == [first]


def in_two(command: list[object], options: list[object], output: Path) -> str:
    """Evaluate in two processes that a command starts; return their output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    arguments = [str(word) for word in (*command, *options, "--output", output)]
    done = subprocess.run(arguments, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_two_processes_give_the_results_of_one(
    checkpoint: Path, benchmark: BenchmarkFiles, weft: Weft, tmp_path: Path
) -> None:
    options: list[object] = ["--checkpoint", checkpoint, "--data", benchmark.data, "--batch", "3", "--rationale"]
    options += ["--task", "vqav2", "--task", "hateful"]
    printed = in_two([WEFT, "eval", "--processes", "2"], options, tmp_path / "two")
    assert weft("eval", *options, "--output", tmp_path / "one")[0] == 0
    assert (tmp_path / "two" / "results.json").read_bytes() == (tmp_path / "one" / "results.json").read_bytes()
    for rank in (0, 1):
        assert (tmp_path / "two" / "vqav2" / f"0-shot-{rank}.jsonl").read_text().strip()
    assert printed.count(" vqav2") == 1  # one of them prints the table
