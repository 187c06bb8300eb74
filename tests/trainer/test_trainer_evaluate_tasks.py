"""Tasks: each reads of its files what is true of them, also where they lie or are named otherwise; limits choose."""

import json
import shutil
from pathlib import Path

import pytest
from examination import WRITERS, write

from schemas.errors import SchemaError
from trainer.evaluate.run import Settings, examples, folder_of
from trainer.evaluate.tasks import TASKS


def test_every_task_has_an_exam() -> None:
    assert set(WRITERS) == set(TASKS)
    assert all(name == task.name for name, task in TASKS.items())


@pytest.mark.parametrize("name", TASKS)
def test_a_task_reads_what_is_true(name: str, tmp_path: Path) -> None:
    exam, task = write(name, tmp_path), TASKS[name]
    assert examples(task, exam.data, exam.output, Settings()) == exam.asked
    folder = folder_of(task, exam.data)
    assert examples(task, folder, exam.output, Settings()) == exam.asked  # the task's own folder, named as --data
    if task.read_shots is None:
        assert not exam.shots
    else:
        assert task.read_shots(folder, exam.output / name) == exam.shots
    for example in (*exam.asked, *exam.shots):
        assert all(path.is_file() for path in (*example.images, *example.candidates))


def moved(folder: Path, **names: str) -> None:
    for old, new in names.items():
        source = next(folder.glob(f"{old}*"))
        source.rename(folder / new)


def test_other_names_and_places_that_are_in_use_read_alike(tmp_path: Path) -> None:
    for name, change in (
        ("hateful", {"dev_seen": "dev.jsonl"}),
        ("websrc", {"dataset_split": "dataset_split_release.json"}),
        ("vizwiz", {"Annotations/val": "val.json", "Annotations/train": "train.json"}),
        ("imagenet", {"ILSVRC/Data/CLS-LOC/val": "val"}),
    ):
        exam = write(name, tmp_path / name)
        moved(exam.data / name, **change)
        read = examples(TASKS[name], exam.data, exam.output, Settings())
        places = [[path.name for path in example.images] for example in read]
        assert places == [[path.name for path in example.images] for example in exam.asked]
        assert [(e.id, e.words, e.right, e.options) for e in read] == [
            (e.id, e.words, e.right, e.options) for e in exam.asked
        ]


def test_imagenet_by_class_is_the_flat_one(tmp_path: Path) -> None:
    exam = write("imagenet-free", tmp_path)
    folder = exam.data / "imagenet"
    solution = folder / "LOC_val_solution.csv"
    for row in solution.read_text().splitlines()[1:]:
        name, told = row.split(",")
        (folder / "val" / told.split()[0]).mkdir(parents=True, exist_ok=True)
        shutil.move(folder / f"ILSVRC/Data/CLS-LOC/val/{name}.JPEG", folder / "val" / told.split()[0])
    shutil.rmtree(folder / "ILSVRC")
    solution.unlink()
    read = examples(TASKS["imagenet-free"], exam.data, exam.output, Settings())
    assert {e.id: e.right for e in read} == {e.id: e.right for e in exam.asked}
    assert [e.images[0].parent.name for e in read] == sorted(e.images[0].parent.name for e in read)


def test_a_limit_chooses_by_the_seed_and_keeps_the_order(tmp_path: Path) -> None:
    exam = write("vqav2", tmp_path, 40)

    def of(limit: int | None, seed: int) -> list[str]:
        settings = Settings(limit=limit, seed=seed)
        return [example.id for example in examples(TASKS["vqav2"], exam.data, exam.output, settings)]

    everything = [example.id for example in exam.asked]
    assert of(None, 0) == of(40, 0) == of(1000, 3) == everything
    assert len(of(10, 0)) == 10 and of(10, 0) == of(10, 0) == sorted(of(10, 0), key=everything.index)
    assert set(of(10, 0)) < set(of(20, 0)) < set(everything)
    assert of(10, 0) != of(10, 1)


def test_a_set_that_asks_nothing_is_told(tmp_path: Path) -> None:
    exam = write("vqav2", tmp_path)
    (exam.data / "vqav2" / "v2_OpenEnded_mscoco_val2014_questions.json").write_text(json.dumps({"questions": []}))
    with pytest.raises(SchemaError, match="vqav2 holds nothing that vqav2 asks"):
        examples(TASKS["vqav2"], exam.data, exam.output, Settings())
