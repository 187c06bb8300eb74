"""Synthetic files of the benchmarks with free answers: captions, questions, web pages."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark_tools import Expected, colour, table, word, write_image

from trainer.evaluate.task import Example

CHOICES = (1, 0, 0, 2, 0, 1, 0, 0, 1, 0)
"""Which of three answers each of ten people gives: the first six times, the second three times, the third once."""


def captions(is_coco: bool, folder: Path, _generated: Path, number: int) -> Expected:
    """One reference each. Two references share only words that are in all of them, which have no weight in CIDEr."""
    rows: list[dict[str, Any]] = []
    expected: dict[str, list[Example]] = {"test": [], "train": [], "restval": [], "val": []}
    splits = list(expected) if is_coco else ["test", "train", "val"]
    for i in range(len(splits) * number):
        split = splits[i % len(splits)]
        place = ("train2014" if split == "train" else "val2014") if is_coco else "flickr30k-images"
        name = f"COCO_{place}_{i:012}.jpg" if is_coco else f"{1000 + i}.jpg"
        caption = f"A {word(3 * i)} {word(3 * i + 1)} near the {word(3 * i + 2)}."
        sentence = {"raw": f" {caption} ", "tokens": caption.split(), "imgid": i, "sentid": i}
        row = {"filename": name, "imgid": i, "split": split, "sentids": [i], "sentences": [sentence]}
        rows.append({**row, "filepath": place, "cocoid": i} if is_coco else row)
        expected[split].append(
            Example(str(i), "<image> An image of", (write_image(folder / place / name, i),), (caption,))
        )
    file = "dataset_coco.json" if is_coco else "dataset_flickr30k.json"
    (folder / file).write_text(json.dumps({"images": rows, "dataset": "x"}))
    shots = expected["train"] + expected["restval"]
    return expected["test"], sorted(shots, key=lambda example: int(example.id))


def _question(i: int, id: str, image: Path) -> tuple[str, list[dict[str, Any]], Example]:
    """Return a question as in the file, the answers of ten people, and the expected example."""
    three = (colour(i), colour(i + 1), "grey")
    given = [{"answer": three[which], "answer_id": n, "answer_confidence": "yes"} for n, which in enumerate(CHOICES, 1)]
    correct = (three[0],) * 6 + (three[1],) * 3 + (three[2],)
    question = f"What colour is the {word(i)}?"
    return question + " ", given, Example(id, f"<image> Question: {question} Answer:", (image,), correct)


def vqav2(folder: Path, _generated: Path, number: int) -> Expected:
    expected = []
    for first, split in ((0, "val2014"), (number, "train2014")):
        questions, annotations, of_split = [], [], []
        for i in range(first, first + number):
            ids = {"image_id": 100 + i, "question_id": 1000 * (100 + i) + 1}
            image = write_image(folder / split / f"COCO_{split}_{100 + i:012}.jpg", i)
            question, given, example = _question(i, str(ids["question_id"]), image)
            questions.append({**ids, "question": question})
            annotations.append({**ids, "question_type": "what", "answers": given})
            of_split.append(example)
        content: dict[str, object] = {"questions": questions, "data_subtype": split}
        (folder / f"v2_OpenEnded_mscoco_{split}_questions.json").write_text(json.dumps(content))
        content = {"annotations": annotations[::-1], "data_subtype": split}
        (folder / f"v2_mscoco_{split}_annotations.json").write_text(json.dumps(content))
        expected.append(of_split)
    return expected[0], expected[1]


def vizwiz(folder: Path, _generated: Path, number: int) -> Expected:
    expected = []
    (folder / "Annotations").mkdir()
    for first, split in ((0, "val"), (number, "train")):
        rows, of_split = [], []
        for i in range(first, first + number):
            name = f"VizWiz_{split}_{i:08}.jpg"
            question, given, example = _question(i, name, write_image(folder / split / name, i))
            rows.append({"image": name, "question": question, "answers": given, "answerable": 1})
            of_split.append(example)
        (folder / "Annotations" / f"{split}.json").write_text(json.dumps(rows))
        expected.append(of_split)
    return expected[0], expected[1]


def websrc(folder: Path, _generated: Path, number: int) -> Expected:
    """Two questions for each page. The last page is of another domain, and one site is not held out."""
    before = (
        "<image> Given the context below from web page, extract the answer from the given text like this: "
        "Question: Who is the publisher of this book? Answer: Penguin Books Ltd. Context: <context> Q: "
    )
    (folder / "dataset_split.json").write_text(json.dumps({"train": ["au02"], "dev": ["au01", "ga03"], "test": []}))
    rows: dict[str, list[Sequence[object]]] = {"auto/01": [], "auto/02": [], "game/03": []}
    expected: dict[str, list[Example]] = {site: [] for site in rows}
    for i in range(number + 2):
        site = "auto/02" if i >= number else "game/03" if i >= number - 2 else "auto/01"
        page = f"{site[-2:]}{i // 2:05}"
        answer, question = f"{colour(i)} {'boat' if i % 3 else 'house'}", f"What is the {word(i)}?"
        image = write_image(folder / site / "processed_data" / f"{page}.png", i)
        image.with_suffix(".html").write_text(
            f"<html><head><title>no</title><style>p {{}}</style></head><body><h1>{word(i // 2)}</h1><!-- no -->\n"
            f"<script>no()</script><noscript>no</noscript><p>Here: <b>{word(i // 2 + 1)}</b>&nbsp;&amp; more</p></body>"
        )
        key = f"{site[:2]}{page}{i:05}"
        rows[site].append((question, key, 7, -1, answer))
        context = f"{word(i // 2)} Here: {word(i // 2 + 1)} & more"
        expected[site].append(Example(key, f"{before}{question} A:", (image,), (answer,), context=context))
    for site, of_site in rows.items():
        table(folder / site / "dataset.csv", ("question", "id", "element_id", "answer_start", "answer"), of_site)
    return expected["auto/01"] + expected["game/03"], []
