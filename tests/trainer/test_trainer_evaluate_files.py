"""Damaged benchmark files give one line that names the file and the row."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmark_files import write

from schemas.errors import PathError, SchemaError, WeftError
from trainer.evaluate.run import Settings, add_shots, examples, folder_of
from trainer.evaluate.tasks import TASKS

Damage = Callable[[Path], None]
NO_TEXT = b"a\xff\x00"


def removed(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def replaced_by(content: str | bytes) -> Damage:
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data) and None


def changed(old: str, new: str) -> Damage:
    def change(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


COCO, FLICKR = "dataset_coco.json", "dataset_flickr30k.json"
QUESTIONS, ANSWERS = "v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"
PAGES = "auto/01/dataset.csv"
VALIDATION = "ILSVRC/Data/CLS-LOC/val"
MATRIX = '"images": ["images/'

DAMAGES: list[tuple[str, str, Damage, str]] = [
    ("coco", COCO, removed, "no file .*"),
    ("coco", COCO, replaced_by(NO_TEXT), "is not UTF-8: invalid start byte at byte 1"),
    ("coco", COCO, replaced_by('{"images": [{'), "Invalid JSON"),
    ("coco", COCO, replaced_by("[]"), "object"),
    ("coco", COCO, replaced_by("[" * 100_000), "Invalid JSON"),
    ("coco", COCO, changed('"images"', '"pictures"'), "images: Field required"),
    ("coco", COCO, changed('"imgid": 0', '"imgid": "0"'), r"images\.0\.imgid: Input should be a valid integer"),
    ("coco", COCO, changed('"raw": ', '"text": '), r"images\.0\.sentences\.0\.raw: Field required"),
    ("coco", COCO, changed("COCO_val2014_000000000000", "COCO_val2014_0"), r"images\.0: no image 'val2014/COCO_val"),
    ("coco", COCO, changed('"COCO_val2014_000000000000', '"../x'), r"images\.0: 'val2014/\.\./x.* leads out"),
    (
        "coco",
        COCO,
        changed('"filepath": "val2014"', '"filepath": "../val2014"'),
        r"images\.0: '\.\./val2014.* leads out",
    ),
    ("coco", COCO, changed('"COCO_val2014_000000000000', '"' + "x" * 5000), r"images\.0: no image "),
    ("coco", COCO, changed('"COCO_val2014_000000000000', '"a\\u0000b'), r"images\.0: .* leads out"),
    ("flickr30k", FLICKR, removed, "no file .*"),
    ("flickr30k", FLICKR, changed('"1000.jpg"', '"/etc/hostname"'), r"images\.0: '/etc/hostname' leads out"),
    ("flickr30k", FLICKR, changed('"1000.jpg"', '"x.jpg"'), r"images\.0: no image 'flickr30k-images/x\.jpg'"),
    (
        "flickr30k",
        FLICKR,
        changed('"sentences": [{', '"sentences": [], "more": [{'),
        r"images\.0\.sentences: List should",
    ),
    ("vqav2", QUESTIONS, removed, "no file .*"),
    ("vqav2", ANSWERS, removed, "no file .*"),
    ("vqav2", ANSWERS, replaced_by(NO_TEXT), "is not UTF-8"),
    ("vqav2", QUESTIONS, replaced_by('{"questions": {}}'), "questions: Input should be a valid array"),
    (
        "vqav2",
        QUESTIONS,
        changed('"question_id": 100001', '"question_id": 7'),
        r"questions\.0: question 7 has no answers in v2",
    ),
    (
        "vqav2",
        QUESTIONS,
        changed('"image_id": 100', '"image_id": 7'),
        r"questions\.0: no image 'COCO_val2014_000000000007",
    ),
    (
        "vqav2",
        QUESTIONS,
        changed('"question": "What', '"question": 7, "x": "What'),
        r"questions\.0\.question: Input should",
    ),
    (
        "vqav2",
        ANSWERS,
        changed('"answers": [{', '"answers": [], "x": [{'),
        r"annotations\.0\.answers: List should have",
    ),
    ("vizwiz", "Annotations/val.json", removed, r"no file .*val\.json"),
    ("vizwiz", "Annotations/val.json", replaced_by("{}"), "Input should be a valid array"),
    (
        "vizwiz",
        "Annotations/val.json",
        changed('"VizWiz_val_00000001.jpg"', '"x.jpg"'),
        "val.json, 1: no image 'x.jpg'",
    ),
    ("vizwiz", "Annotations/val.json", changed('"VizWiz_val_00000001', '"../x'), "val.json, 1: '../x.jpg' leads out"),
    (
        "vizwiz",
        "Annotations/val.json",
        changed('"answer": "blue"', '"answer": null'),
        r"\d\.answers\.\d\.answer: Input",
    ),
    ("raven", "raven.jsonl", removed, "no file .*"),
    ("raven", "raven.jsonl", replaced_by(NO_TEXT), "is not UTF-8"),
    ("raven", "raven.jsonl", changed('"answer": 2', '"answer": 6'), "line 1: answer: Input should be less than 6"),
    ("raven", "raven.jsonl", changed(MATRIX, '"images": ["../'), "line 1: '../.*' leads out"),
    ("raven", "images", removed, r"raven\.jsonl, line 1: no image 'images/"),
    ("sst2", "dev.tsv", removed, "no file .*"),
    ("sst2", "dev.tsv", replaced_by(b"sentence\tlabel\n\xe9\t1\n"), "is not UTF-8"),
    ("sst2", "dev.tsv", changed("\t0\n", "\t2\n"), "line 2: label: Input should be '0' or '1'"),
    ("sst2", "dev.tsv", changed("\t0\n", "\n"), "line 2: 2 columns are expected, as in the header"),
    ("sst2", "dev.tsv", changed("\t0\n", "\t0\t0\n"), "line 2: 2 columns are expected"),
    ("sst2", "dev.tsv", changed("sentence", "text"), "line 2: sentence: Field required"),
    (
        "sst2",
        "dev.tsv",
        changed("sentence\tlabel\n", "sentence\tlabel\n" + "long " * 500 + "\t1\n"),
        "line 2: an opinion of 2,499",
    ),
    ("hateful", "dev_seen.jsonl", removed, r"no file .*dev_seen\.jsonl"),
    ("hateful", "dev_seen.jsonl", changed("}\n{", "}\n\n{"), "line 2: Invalid JSON"),
    ("hateful", "dev_seen.jsonl", changed('"label": 1', '"label": 2'), "line 1: label: Input should be less than"),
    ("hateful", "dev_seen.jsonl", changed('"label": 1', '"label": true'), "line 1: label: Input should be a valid int"),
    ("hateful", "dev_seen.jsonl", changed("img/08001", "img/../../08001"), "line 2: .* leads out of the folder"),
    ("hateful", "img/08001.png", removed, r"dev_seen\.jsonl, line 2: no image 'img/08001\.png'"),
    ("websrc", "dataset_split.json", removed, "no file .*"),
    ("websrc", "dataset_split.json", changed('"dev"', '"test"'), "dev: Field required"),
    (
        "websrc",
        "dataset_split.json",
        changed('["au01", "ga03"]', '["xx01"]'),
        "no dataset.csv of a held-out site in .*",
    ),
    ("websrc", PAGES, changed("question,id", "question,key"), "line 2: id: Field required"),
    ("websrc", PAGES, changed(",au0100000", ",au../00000"), r"line 2: '\.\./00000\.png' leads out"),
    ("websrc", PAGES, changed(",au010000000000", ",au"), "line 2: id: String should have at least 8"),
    ("websrc", PAGES, changed(",7,-1,", ",7,"), "line 2: 5 columns are expected"),
    ("websrc", PAGES, changed(",7,-1,", ',"7"x,-1,'), "line 2: .*expected after"),
    ("websrc", "auto/01/processed_data/0100000.png", removed, r"dataset\.csv, line 2: no image '0100000\.png'"),
    ("websrc", "auto/01/processed_data/0100000.html", removed, r"no file .*0100000\.html"),
    ("websrc", "auto/01/processed_data/0100000.html", replaced_by(NO_TEXT), r"0100000\.html is not UTF-8"),
    ("imagenet", "LOC_synset_mapping.txt", removed, "no file .*"),
    (
        "imagenet",
        "LOC_synset_mapping.txt",
        replaced_by("n00000000 x\nn00000001\n"),
        "line 2: no name after 'n00000001'",
    ),
    ("imagenet", "LOC_synset_mapping.txt", replaced_by("n00000000 x\nn00000001 , ,\n"), "line 2: no name after"),
    (
        "imagenet",
        "LOC_synset_mapping.txt",
        replaced_by("n00000000 x\n"),
        r"_solution\.csv, line 3: class 'n00000005' is not in",
    ),
    ("imagenet", "LOC_val_solution.csv", removed, "no file .*"),
    (
        "imagenet",
        "LOC_val_solution.csv",
        changed("val_00000002", "val_2"),
        r"line 4: no image 'ILSVRC2012_val_2\.JPEG'",
    ),
    ("imagenet", "LOC_val_solution.csv", changed("ILSVRC2012_val_00000002", "/x"), r"line 4: '/x\.JPEG' leads out"),
    ("imagenet", VALIDATION, removed, "no folder val in "),
    ("birds", "pairs.jsonl", removed, "no file .*"),
    ("birds", "pairs.jsonl", changed('"001.Small', '"001.Large'), "line 1: class '001.Large_.* is not in classes.txt"),
    ("birds", "pairs.jsonl", changed(', "descriptions": [', ', "descriptions": ["x", '), "line 1: descriptions: List"),
    ("birds", "pairs.jsonl", changed('"descriptions"', '"texts"'), "line 1: descriptions: Field required"),
    ("birds", "classes.txt", changed("1 001", "1001"), "line 1: a number and a value are expected"),
    ("birds", "classes.txt", replaced_by(NO_TEXT), "is not UTF-8"),
    ("birds", "images.txt", removed, "no file .*"),
    ("birds", "images.txt", changed("2 001", "2 ../001"), r"images\.txt, image 2: '\.\./001.* leads out"),
    ("birds", "images.txt", changed("2 001", "2 x001"), r"images\.txt, image 2: no image 'x001"),
    ("relative-size", "sizePairsFull.txt", removed, "no file .*"),
    (
        "relative-size",
        "sizePairsFull.txt",
        replaced_by("elephant ant\nelephant\n"),
        "line 2: a larger and a smaller thing",
    ),
    ("relative-size", "sizePairsFull.txt", replaced_by("a b c\n"), "line 1: a larger and a smaller thing are expected"),
    ("relative-size", "sizePairsFull.txt", replaced_by(NO_TEXT), "is not UTF-8"),
    ("memory-color", "memory_color_data.csv", removed, "no file .*"),
    ("memory-color", "memory_color_data.csv", changed("Color", "Colour"), "line 2: Color: Field required"),
    ("memory-color", "memory_color_data.csv", changed(",red,", ", ,"), "line 2: Color: String should have at least 1"),
    ("memory-color", "memory_color_data.csv", changed(",red,0", ",red"), "line 2: 4 columns are expected"),
    ("color-terms", "color-concrete-objects.csv", removed, "no file .*"),
    ("color-terms", "color-concrete-objects.csv", changed("object", "thing"), "line 2: object: Field required"),
    ("color-terms", "color-concrete-objects.csv", replaced_by('"' + "x" * 200_000), "line 1: field larger than"),
]


def checked(caught: WeftError, path: Path, message: str) -> None:
    text = str(caught)
    assert isinstance(caught, PathError | SchemaError) and text.isprintable() and len(text) < 12_000
    assert re.search(message, text), text
    assert not message.startswith("line") or re.search(rf"{re.escape(str(path))}, {message}", text), text


@pytest.mark.parametrize(("name", "file", "damage", "message"), DAMAGES, ids=[f"{d[0]}-{d[3]}"[:60] for d in DAMAGES])
def test_a_damaged_file_gives_one_line(name: str, file: str, damage: Damage, message: str, tmp_path: Path) -> None:
    benchmark, task = write(name, tmp_path), TASKS[name]
    path = folder_of(task, benchmark.data) / file
    damage(path)
    with pytest.raises(WeftError) as caught:
        examples(task, benchmark.data, benchmark.output, Settings())
    checked(caught.value, path, message)
    assert str(benchmark.data) in str(caught.value)


SHOTS: list[tuple[str, str, Damage, str]] = [
    ("vqav2", "v2_OpenEnded_mscoco_train2014_questions.json", removed, "no file .*"),
    ("vizwiz", "Annotations/train.json", removed, r"no file .*train\.json"),
    ("hateful", "train.jsonl", changed('"label": 1', '"label": -1'), "line 1: label: Input should be greater"),
    ("sst2", "train.tsv", changed("\t0\n", "\n"), "line 2: 2 columns are expected"),
]


@pytest.mark.parametrize(("name", "file", "damage", "message"), SHOTS, ids=[d[0] for d in SHOTS])
def test_damaged_shots_are_an_error_only_if_used(
    name: str, file: str, damage: Damage, message: str, tmp_path: Path
) -> None:
    benchmark, task = write(name, tmp_path), TASKS[name]
    path = folder_of(task, benchmark.data) / file
    damage(path)
    chosen = examples(task, benchmark.data, benchmark.output, Settings())
    assert add_shots(task, benchmark.data, benchmark.output, Settings(), chosen) == benchmark.examples
    with pytest.raises(WeftError) as caught:
        add_shots(task, benchmark.data, benchmark.output, Settings(shots=1), chosen)
    checked(caught.value, path, message)


@pytest.mark.parametrize("pair", [["001.A", "001.A"], ["Robin", "002.Wren"]])
def test_a_pair_of_birds_needs_two_different_names(pair: list[str], tmp_path: Path) -> None:
    benchmark = write("birds", tmp_path)
    folder = benchmark.data / "birds"
    (folder / "classes.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(pair, 1)))
    message = str(pair).replace("'", '"')
    (folder / "pairs.jsonl").write_text(f'{{"classes": {message}, "descriptions": ["x", "y"]}}')
    with pytest.raises(SchemaError, match=r"pairs\.jsonl, line 1: two classes such as 001\.Great_Tit are expected"):
        examples(TASKS["birds"], benchmark.data, benchmark.output, Settings())


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    benchmark = write("memory-color", tmp_path)
    path = benchmark.data / "memory-color" / "memory_color_data.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert examples(TASKS["memory-color"], benchmark.data, benchmark.output, Settings()) == benchmark.examples
