"""Invented files of the benchmarks that ask of an image which of some answers is right."""

from pathlib import Path

from exam_tools import Known, colour, lines, made, picture, table

from schemas.tables import digest
from trainer.evaluate.task import Example


def raven(folder: Path, _drawn: Path, number: int) -> Known:
    rows, right = [], []
    for i in range(number):
        shown, told = ((3, "three"), (4, "four"), (8, "eight"))[i % 3]
        names = [f"images/{made(i)}-{n}.png" for n in range(shown + 6)]
        paths = tuple(picture(folder / name, i + n) for n, name in enumerate(names))
        answer = (5 * i + 2) % 6
        rows.append({"id": made(i), "images": names[:shown], "candidates": names[shown:], "answer": answer})
        words = f"Here are {told} images: {'<image>' * shown} The following image is: <image> Is it correct?"
        right.append(Example(made(i), words, paths[:shown], (str(answer),), ("Yes",), paths[shown:]))
    lines(folder / "raven.jsonl", rows)
    return right, []


def sst2(folder: Path, drawn: Path, number: int) -> Known:
    known = []
    words, options = "<image> Question: what is the sentiment of the opinion? Answer:", ("negative", "positive")
    for first, split in ((0, "dev"), (number, "train")):
        rows, right = ["sentence\tlabel"], []
        for i in range(first, first + number):
            said = f"the `` {made(i)} '' is n't a \"{made(i + 1)} film"
            rows.append(f"{said} \t{i * 7 % 3 % 2}")
            drawing_of = drawn / f"{digest(said)}.png"
            right.append(Example(f"{split}-{i - first}", words, (drawing_of,), (options[i * 7 % 3 % 2],), options))
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        known.append(right)
    return known[0], known[1]


def hateful(folder: Path, _drawn: Path, number: int) -> Known:
    known = []
    words = "<image> Question: does this picture contain real hate speech? Answer:"
    for first, split in ((0, "dev_seen"), (number, "train")):
        rows, right = [], []
        for i in range(first, first + number):
            name, label = f"img/{8000 + i:05}.png", int(i % 3 == 0)
            rows.append({"id": 8000 + i, "img": name, "label": label, "text": made(i)})
            image = picture(folder / name, i)
            right.append(Example(str(8000 + i), words, (image,), (("no", "yes")[label],), ("yes", "no")))
        lines(folder / f"{split}.jsonl", rows)
        known.append(right)
    return known[0], known[1]


def imagenet(is_held: bool, folder: Path, _drawn: Path, number: int) -> Known:
    """Six classes, of which two have the same first name, as ImageNet's cranes have."""
    names = [(made(min(k, 4)), f"{made(50 + k)} {made(60 + k)}") for k in range(6)]
    told = [f"n{k:08} {', '.join(of_class)}" for k, of_class in enumerate(names)]
    (folder / "LOC_synset_mapping.txt").write_text("\n".join(told) + "\n")
    options = tuple(sorted({first for first, _ in names})) if is_held else ()
    rows, right = [], []
    for i in range(number):
        name, k = f"ILSVRC2012_val_{i:08}", i * 5 % 6
        rows.append((name, f"n{k:08} 1 2 30 40 n{k:08} 5 6 7 8 "))
        image = picture(folder / "ILSVRC" / "Data" / "CLS-LOC" / "val" / f"{name}.JPEG", i)
        right.append(
            Example(name, "<image> The photo of the", (image,), names[k][:1] if is_held else names[k], options)
        )
    table(folder / "LOC_val_solution.csv", ("ImageId", "PredictionString"), rows)
    return right, []


def birds(is_described: bool, folder: Path, _drawn: Path, number: int) -> Known:
    """Four classes in two pairs; every second image belongs to the test."""
    classes = [f"{k + 1:03}.Small_{made(k).title()}" for k in range(4)]
    names = [f"Small {made(k).title()}" for k in range(4)]
    images = [(n, (n - 1) // 2 % 4) for n in range(1, 2 * number + 1)]
    paths = {n: f"{classes[k]}/{classes[k][4:]}_{n:04}.jpg" for n, k in images}
    for file, rows in (
        ("classes.txt", [f"{k + 1} {name}" for k, name in enumerate(classes)]),
        ("images.txt", [f"{n} {path}" for n, path in paths.items()]),
        ("image_class_labels.txt", [f"{n} {k + 1}" for n, k in images]),
        ("train_test_split.txt", [f"{n} {n % 2}" for n, _ in images]),
    ):
        (folder / file).write_text("\n".join(rows) + "\n")
    for n, path in paths.items():
        picture(folder / "images" / path, n)
    told, right = [], []
    for k in (0, 2):
        one, other = (f"{names[b]} has a {colour(b)} tail." for b in (k, k + 1))
        told.append({"classes": classes[k : k + 2], "descriptions": [f" {one} ", other]})
        question = "<image> Question: what is the name of the bird in the picture? Answer:"
        words = f"{one} {other} {question}" if is_described else question
        for n, b in images:
            if n % 2 == 0 and b in (k, k + 1):
                id, image = f"{names[k]}-{names[k + 1]}-{n}", folder / "images" / paths[n]
                right.append(Example(id, words, (image,), (names[b],), (names[k], names[k + 1])))
    lines(folder / "pairs.jsonl", told)
    return right, []
