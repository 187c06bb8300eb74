"""Tasks: each reads the expected examples from its files, also with other file names; limits choose examples."""

import json
import shutil
from pathlib import Path

import pytest
from benchmark_files import WRITERS, write

from schemas.errors import SchemaError
from trainer.evaluate.run import Settings, examples, folder_of
from trainer.evaluate.tasks import TASKS


def test_every_task_has_benchmark_files() -> None:
    assert set(WRITERS) == set(TASKS)
    assert all(name == task.name for name, task in TASKS.items())


@pytest.mark.parametrize("name", TASKS)
def test_a_task_reads_the_expected_examples(name: str, tmp_path: Path) -> None:
    benchmark, task = write(name, tmp_path), TASKS[name]
    assert examples(task, benchmark.data, benchmark.output, Settings()) == benchmark.examples
    folder = folder_of(task, benchmark.data)
    assert (
        examples(task, folder, benchmark.output, Settings()) == benchmark.examples
    )  # the task's own folder, named as --data
    if task.read_shots is None:
        assert not benchmark.shots
    else:
        assert task.read_shots(folder, benchmark.output / name) == benchmark.shots
    for example in (*benchmark.examples, *benchmark.shots):
        assert all(path.is_file() for path in (*example.images, *example.candidates))


def moved(folder: Path, **names: str) -> None:
    for old, new in names.items():
        source = next(folder.glob(f"{old}*"))
        source.rename(folder / new)


def test_other_common_file_names_are_accepted(tmp_path: Path) -> None:
    for name, change in (
        ("hateful", {"dev_seen": "dev.jsonl"}),
        ("websrc", {"dataset_split": "dataset_split_release.json"}),
        ("vizwiz", {"Annotations/val": "val.json", "Annotations/train": "train.json"}),
        ("imagenet", {"ILSVRC/Data/CLS-LOC/val": "val"}),
    ):
        benchmark = write(name, tmp_path / name)
        moved(benchmark.data / name, **change)
        read = examples(TASKS[name], benchmark.data, benchmark.output, Settings())
        places = [[path.name for path in example.images] for example in read]
        assert places == [[path.name for path in example.images] for example in benchmark.examples]
        assert [(e.id, e.prompt, e.correct, e.options) for e in read] == [
            (e.id, e.prompt, e.correct, e.options) for e in benchmark.examples
        ]


def test_imagenet_by_class_equals_the_flat_folder(tmp_path: Path) -> None:
    benchmark = write("imagenet-free", tmp_path)
    folder = benchmark.data / "imagenet"
    solution = folder / "LOC_val_solution.csv"
    for row in solution.read_text().splitlines()[1:]:
        name, label = row.split(",")
        (folder / "val" / label.split()[0]).mkdir(parents=True, exist_ok=True)
        shutil.move(folder / f"ILSVRC/Data/CLS-LOC/val/{name}.JPEG", folder / "val" / label.split()[0])
    shutil.rmtree(folder / "ILSVRC")
    solution.unlink()
    read = examples(TASKS["imagenet-free"], benchmark.data, benchmark.output, Settings())
    assert {e.id: e.correct for e in read} == {e.id: e.correct for e in benchmark.examples}
    assert [e.images[0].parent.name for e in read] == sorted(e.images[0].parent.name for e in read)


def test_a_limit_chooses_by_the_seed_and_keeps_the_order(tmp_path: Path) -> None:
    benchmark = write("vqav2", tmp_path, 40)

    def of(limit: int | None, seed: int) -> list[str]:
        settings = Settings(limit=limit, seed=seed)
        return [example.id for example in examples(TASKS["vqav2"], benchmark.data, benchmark.output, settings)]

    everything = [example.id for example in benchmark.examples]
    assert of(None, 0) == of(40, 0) == of(1000, 3) == everything
    assert len(of(10, 0)) == 10 and of(10, 0) == of(10, 0) == sorted(of(10, 0), key=everything.index)
    assert set(of(10, 0)) < set(of(20, 0)) < set(everything)
    assert of(10, 0) != of(10, 1)


def test_a_file_without_examples_is_an_error(tmp_path: Path) -> None:
    benchmark = write("vqav2", tmp_path)
    (benchmark.data / "vqav2" / "v2_OpenEnded_mscoco_val2014_questions.json").write_text(json.dumps({"questions": []}))
    with pytest.raises(SchemaError, match="vqav2 holds no examples of vqav2"):
        examples(TASKS["vqav2"], benchmark.data, benchmark.output, Settings())
