"""Invented files of the benchmarks that are answered in words of one's own: captions, questions, web pages."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exam_tools import Known, colour, made, picture, table

from trainer.evaluate.task import Example

TEN = (1, 0, 0, 2, 0, 1, 0, 0, 1, 0)
"""Which of three answers each of ten people gives: the first six times, the second three times, the third once."""


def captions(is_coco: bool, folder: Path, _drawn: Path, number: int) -> Known:
    """One reference each; no two have a word in common but those that stand in all, which weigh nothing in CIDEr."""
    rows: list[dict[str, Any]] = []
    known: dict[str, list[Example]] = {"test": [], "train": [], "restval": [], "val": []}
    splits = list(known) if is_coco else ["test", "train", "val"]
    for i in range(len(splits) * number):
        split = splits[i % len(splits)]
        place = ("train2014" if split == "train" else "val2014") if is_coco else "flickr30k-images"
        name = f"COCO_{place}_{i:012}.jpg" if is_coco else f"{1000 + i}.jpg"
        said = f"A {made(3 * i)} {made(3 * i + 1)} near the {made(3 * i + 2)}."
        told = {"raw": f" {said} ", "tokens": said.split(), "imgid": i, "sentid": i}
        row = {"filename": name, "imgid": i, "split": split, "sentids": [i], "sentences": [told]}
        rows.append({**row, "filepath": place, "cocoid": i} if is_coco else row)
        known[split].append(Example(str(i), "<image> An image of", (picture(folder / place / name, i),), (said,)))
    file = "dataset_coco.json" if is_coco else "dataset_flickr30k.json"
    (folder / file).write_text(json.dumps({"images": rows, "dataset": "x"}))
    shown = known["train"] + known["restval"]
    return known["test"], sorted(shown, key=lambda example: int(example.id))


def _question(i: int, id: str, image: Path) -> tuple[str, list[dict[str, Any]], Example]:
    """Return a question as a file has it, what ten people answered, and what is true."""
    three = (colour(i), colour(i + 1), "grey")
    given = [{"answer": three[which], "answer_id": n, "answer_confidence": "yes"} for n, which in enumerate(TEN, 1)]
    right = (three[0],) * 6 + (three[1],) * 3 + (three[2],)
    asked = f"What colour is the {made(i)}?"
    return asked + " ", given, Example(id, f"<image> Question: {asked} Answer:", (image,), right)


def vqav2(folder: Path, _drawn: Path, number: int) -> Known:
    known = []
    for first, split in ((0, "val2014"), (number, "train2014")):
        questions, annotations, right = [], [], []
        for i in range(first, first + number):
            ids = {"image_id": 100 + i, "question_id": 1000 * (100 + i) + 1}
            image = picture(folder / split / f"COCO_{split}_{100 + i:012}.jpg", i)
            asked, given, example = _question(i, str(ids["question_id"]), image)
            questions.append({**ids, "question": asked})
            annotations.append({**ids, "question_type": "what", "answers": given})
            right.append(example)
        told = {"questions": questions, "data_subtype": split}
        (folder / f"v2_OpenEnded_mscoco_{split}_questions.json").write_text(json.dumps(told))
        told = {"annotations": annotations[::-1], "data_subtype": split}
        (folder / f"v2_mscoco_{split}_annotations.json").write_text(json.dumps(told))
        known.append(right)
    return known[0], known[1]


def vizwiz(folder: Path, _drawn: Path, number: int) -> Known:
    known = []
    (folder / "Annotations").mkdir()
    for first, split in ((0, "val"), (number, "train")):
        rows, right = [], []
        for i in range(first, first + number):
            name = f"VizWiz_{split}_{i:08}.jpg"
            asked, given, example = _question(i, name, picture(folder / split / name, i))
            rows.append({"image": name, "question": asked, "answers": given, "answerable": 1})
            right.append(example)
        (folder / "Annotations" / f"{split}.json").write_text(json.dumps(rows))
        known.append(right)
    return known[0], known[1]


def websrc(folder: Path, _drawn: Path, number: int) -> Known:
    """Two questions on each page; the last page is of another domain, and there is a site that is not held out."""
    before = (
        "<image> Given the context below from web page, extract the answer from the given text like this: "
        "Question: Who is the publisher of this book? Answer: Penguin Books Ltd. Context: <context> Q: "
    )
    (folder / "dataset_split.json").write_text(json.dumps({"train": ["au02"], "dev": ["au01", "ga03"], "test": []}))
    rows: dict[str, list[Sequence[object]]] = {"auto/01": [], "auto/02": [], "game/03": []}
    known: dict[str, list[Example]] = {site: [] for site in rows}
    for i in range(number + 2):
        site = "auto/02" if i >= number else "game/03" if i >= number - 2 else "auto/01"
        page = f"{site[-2:]}{i // 2:05}"
        answer, asked = f"{colour(i)} {'boat' if i % 3 else 'house'}", f"What is the {made(i)}?"
        image = picture(folder / site / "processed_data" / f"{page}.png", i)
        image.with_suffix(".html").write_text(
            f"<html><head><title>no</title><style>p {{}}</style></head><body><h1>{made(i // 2)}</h1><!-- no -->\n"
            f"<script>no()</script><noscript>no</noscript><p>Here: <b>{made(i // 2 + 1)}</b>&nbsp;&amp; more</p></body>"
        )
        key = f"{site[:2]}{page}{i:05}"
        rows[site].append((asked, key, 7, -1, answer))
        context = f"{made(i // 2)} Here: {made(i // 2 + 1)} & more"
        known[site].append(Example(key, f"{before}{asked} A:", (image,), (answer,), context=context))
    for site, of_site in rows.items():
        table(folder / site / "dataset.csv", ("question", "id", "element_id", "answer_start", "answer"), of_site)
    return known["auto/01"] + known["game/03"], []
