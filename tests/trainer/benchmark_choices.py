"""Synthetic files of the benchmarks with a choice of answers about an image."""

from pathlib import Path

from benchmark_tools import Expected, colour, lines, table, word, write_image

from schemas.tables import digest
from trainer.evaluate.task import Example


def raven(folder: Path, _generated: Path, number: int) -> Expected:
    rows, expected = [], []
    for i in range(number):
        shown, number_word = ((3, "three"), (4, "four"), (8, "eight"))[i % 3]
        names = [f"images/{word(i)}-{n}.png" for n in range(shown + 6)]
        paths = tuple(write_image(folder / name, i + n) for n, name in enumerate(names))
        answer = (5 * i + 2) % 6
        rows.append({"id": word(i), "images": names[:shown], "candidates": names[shown:], "answer": answer})
        prompt = f"Here are {number_word} images: {'<image>' * shown} The following image is: <image> Is it correct?"
        expected.append(Example(word(i), prompt, paths[:shown], (str(answer),), ("Yes",), paths[shown:]))
    lines(folder / "raven.jsonl", rows)
    return expected, []


def sst2(folder: Path, generated: Path, number: int) -> Expected:
    of_splits = []
    prompt, options = "<image> Question: what is the sentiment of the opinion? Answer:", ("negative", "positive")
    for first, split in ((0, "dev"), (number, "train")):
        rows, expected = ["sentence\tlabel"], []
        for i in range(first, first + number):
            sentence = f"the `` {word(i)} '' is n't a \"{word(i + 1)} film"
            rows.append(f"{sentence} \t{i * 7 % 3 % 2}")
            rendered = generated / f"{digest(sentence)}.png"
            expected.append(Example(f"{split}-{i - first}", prompt, (rendered,), (options[i * 7 % 3 % 2],), options))
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        of_splits.append(expected)
    return of_splits[0], of_splits[1]


def hateful(folder: Path, _generated: Path, number: int) -> Expected:
    of_splits = []
    prompt = "<image> Question: does this picture contain real hate speech? Answer:"
    for first, split in ((0, "dev_seen"), (number, "train")):
        rows, expected = [], []
        for i in range(first, first + number):
            name, label = f"img/{8000 + i:05}.png", int(i % 3 == 0)
            rows.append({"id": 8000 + i, "img": name, "label": label, "text": word(i)})
            image = write_image(folder / name, i)
            expected.append(Example(str(8000 + i), prompt, (image,), (("no", "yes")[label],), ("yes", "no")))
        lines(folder / f"{split}.jsonl", rows)
        of_splits.append(expected)
    return of_splits[0], of_splits[1]


def imagenet(with_options: bool, folder: Path, _generated: Path, number: int) -> Expected:
    """Six classes, two of which have the same first name, like ImageNet's cranes."""
    names = [(word(min(k, 4)), f"{word(50 + k)} {word(60 + k)}") for k in range(6)]
    lines_of_classes = [f"n{k:08} {', '.join(of_class)}" for k, of_class in enumerate(names)]
    (folder / "LOC_synset_mapping.txt").write_text("\n".join(lines_of_classes) + "\n")
    options = tuple(sorted({first for first, _ in names})) if with_options else ()
    rows, expected = [], []
    for i in range(number):
        name, k = f"ILSVRC2012_val_{i:08}", i * 5 % 6
        rows.append((name, f"n{k:08} 1 2 30 40 n{k:08} 5 6 7 8 "))
        image = write_image(folder / "ILSVRC" / "Data" / "CLS-LOC" / "val" / f"{name}.JPEG", i)
        expected.append(
            Example(name, "<image> The photo of the", (image,), names[k][:1] if with_options else names[k], options)
        )
    table(folder / "LOC_val_solution.csv", ("ImageId", "PredictionString"), rows)
    return expected, []


def birds(with_descriptions: bool, folder: Path, _generated: Path, number: int) -> Expected:
    """Four classes in two pairs; every second image is in the test split."""
    classes = [f"{k + 1:03}.Small_{word(k).title()}" for k in range(4)]
    names = [f"Small {word(k).title()}" for k in range(4)]
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
        write_image(folder / "images" / path, n)
    pairs, expected = [], []
    for k in (0, 2):
        one, other = (f"{names[b]} has a {colour(b)} tail." for b in (k, k + 1))
        pairs.append({"classes": classes[k : k + 2], "descriptions": [f" {one} ", other]})
        question = "<image> Question: what is the name of the bird in the picture? Answer:"
        prompt = f"{one} {other} {question}" if with_descriptions else question
        for n, b in images:
            if n % 2 == 0 and b in (k, k + 1):
                id, image = f"{names[k]}-{names[k + 1]}-{n}", folder / "images" / paths[n]
                expected.append(Example(id, prompt, (image,), (names[b],), (names[k], names[k + 1])))
    lines(folder / "pairs.jsonl", pairs)
    return expected, []
