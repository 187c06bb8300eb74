"""Tasks about the content of images: captions, ImageNet, birds by description, hateful memes, Raven's matrices."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from schemas.errors import PathError, SchemaError
from trainer.evaluate.caption_metrics import cider, spice
from trainer.evaluate.metrics import roc_auc
from trainer.evaluate.raven import files as raven
from trainer.evaluate.task import (
    CONSTRAINED,
    GENERATE,
    MULTIPLE_CHOICE,
    AnswerMethod,
    AnswerMode,
    Completion,
    Example,
    FileRow,
    Task,
    TaskScore,
    escape,
    exact_accuracy,
    fraction_correct,
    image,
    quoted,
    read_json,
    read_lines,
    read_table,
    text_of,
)
from trainer.generate.engine import PLACEHOLDER

CAPTION_PROMPT = "<image> An image of"


class _Sentence(FileRow):
    raw: str


class _Image(FileRow):
    filename: str
    filepath: str = ""  # COCO's: val2014 or train2014
    imgid: int
    split: str
    sentences: Annotated[list[_Sentence], Field(min_length=1)]


class _Split(FileRow):
    images: list[_Image]


def _read_captions(file: str, images: str, splits: tuple[str, ...], folder: Path, _generated: Path) -> list[Example]:
    found = []
    for number, row in enumerate(read_json(folder / file, _Split).images):
        if row.split in splits:
            name = str(PurePosixPath(row.filepath or images, row.filename))
            path = image(folder, name, f"{folder / file}, images.{number}")
            found.append(Example(str(row.imgid), CAPTION_PROMPT, (path,), tuple(s.raw.strip() for s in row.sentences)))
    return found


def score_captions(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Score captions by CIDEr, and by SPICE if its Java program is installed."""
    captions, references = [answer.text for answer in answers], [example.correct for example in examples]
    scores = {"cider": TaskScore(100 * cider(captions, references))}
    by_spice = spice(captions, references)
    return scores if by_spice is None else {**scores, "spice": TaskScore(100 * by_spice)}


def _captions(name: str, file: str, images: str) -> Task:
    return Task(
        name,
        f"captions of Karpathy's test split: {file}, and the images it names",
        partial(_read_captions, file, images, ("test",)),
        score_captions,
        AnswerMode(AnswerMethod.GENERATE, max_tokens=32, num_beams=5),
        partial(_read_captions, file, images, ("train", "restval")),
    )


COCO = _captions("coco", "dataset_coco.json", "images")
FLICKR30K = _captions("flickr30k", "dataset_flickr30k.json", "flickr30k-images")


CLASS_PROMPT = "<image> The photo of the"
_NAMES, _SOLUTION = "LOC_synset_mapping.txt", "LOC_val_solution.csv"


class _Labelled(FileRow):
    ImageId: str
    PredictionString: str


def _names(folder: Path) -> dict[str, tuple[str, ...]]:
    found = {}
    for number, line in enumerate(text_of(folder / _NAMES).splitlines(), 1):
        synset, _, names = line.partition(" ")
        found[synset] = tuple(filter(None, (name.strip() for name in names.split(","))))
        if not found[synset]:
            raise SchemaError(f"{folder / _NAMES}, line {number}: no name after {quoted(synset)}")
    return found


def _images(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield each image with its place for messages and its class."""
    flat = next((place for place in (folder / "ILSVRC/Data/CLS-LOC/val", folder / "val") if place.is_dir()), None)
    if flat is None:
        raise PathError(f"no folder val in {folder}")
    by_class = sorted(place for place in flat.iterdir() if place.is_dir())
    for place in by_class:
        yield from ((str(path), place.name, path) for path in sorted(place.iterdir()))
    if not by_class:
        for where, row in read_table(folder / _SOLUTION, _Labelled):
            yield where, row.PredictionString.split(" ")[0], image(flat, f"{row.ImageId}.JPEG", where)


def _read_classes(with_options: bool, folder: Path, _generated: Path) -> list[Example]:
    names = _names(folder)
    options = tuple(sorted({of_class[0] for of_class in names.values()})) if with_options else ()
    found = []
    for where, synset, path in _images(folder):
        if synset not in names:
            raise SchemaError(f"{where}: class {quoted(synset)} is not in {_NAMES}")
        correct = names[synset][:1] if with_options else names[synset]
        found.append(Example(path.stem, CLASS_PROMPT, (path,), correct, options))
    return found


def score_free(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Score free answers: any name of the class is correct; case is ignored."""
    pairs = zip(examples, answers, strict=True)
    correct = [a.text.casefold().rstrip(".") in map(str.casefold, e.correct) for e, a in pairs]
    return {"accuracy": fraction_correct(correct)}


_CLASS_FILES = f"{_NAMES}, val/ (by class, or flat with {_SOLUTION})"
IMAGENET = Task(
    "imagenet",
    f"the class of a photo, by one of a thousand names: {_CLASS_FILES}",
    partial(_read_classes, True),
    exact_accuracy,
    CONSTRAINED,
)
IMAGENET_FREE = Task(
    "imagenet-free",
    f"the class of a photo, as free text: {_CLASS_FILES}",
    partial(_read_classes, False),
    score_free,
    GENERATE,
    folder="imagenet",
)


QUESTION = "<image> Question: what is the name of the bird in the picture? Answer:"


class _Pair(FileRow):
    classes: Annotated[list[str], Field(min_length=2, max_length=2)]
    descriptions: Annotated[list[str], Field(min_length=2, max_length=2)]


def name_of(bird: str) -> str:
    """Return the name in a class: 191.Red_headed_Woodpecker is Red headed Woodpecker."""
    return bird.partition(".")[2].replace("_", " ")


def _read_birds(with_descriptions: bool, folder: Path, _generated: Path) -> list[Example]:
    classes, of_image = (_numbered(folder / name) for name in ("classes.txt", "image_class_labels.txt"))
    split, paths = (_numbered(folder / name) for name in ("train_test_split.txt", "images.txt"))
    known, found = set(classes.values()), []
    for where, pair in read_lines(folder / "pairs.jsonl", _Pair):
        if unknown := [bird for bird in pair.classes if bird not in known]:
            raise SchemaError(f"{where}: class {quoted(unknown[0])} is not in classes.txt")
        options = tuple(map(name_of, pair.classes))
        if not all(options) or options[0] == options[1]:
            raise SchemaError(f"{where}: two classes such as 001.Great_Tit are expected, not {quoted(pair.classes)}")
        descriptions = " ".join(map(escape, pair.descriptions))
        prompt = f"{descriptions} {QUESTION}" if with_descriptions else QUESTION
        for number, path in paths.items():
            bird = classes.get(of_image.get(number, ""), "")
            if split.get(number) == "0" and bird in pair.classes:
                place = image(folder / "images", path, f"{folder / 'images.txt'}, image {number[:20]}")
                found.append(Example(f"{'-'.join(options)}-{number}", prompt, (place,), (name_of(bird),), options))
    return found


def _numbered(path: Path) -> dict[str, str]:
    found = {}
    for number, line in enumerate(text_of(path).splitlines(), 1):
        key, _, value = line.partition(" ")
        if not value:
            raise SchemaError(f"{path}, line {number}: a number and a value are expected, not {quoted(line)}")
        found[key] = value.strip()
    return found


_BIRD_FILES = "CUB-200-2011 and pairs.jsonl"
BIRDS = Task(
    "birds",
    f"which of two described birds an image shows: {_BIRD_FILES}",
    partial(_read_birds, True),
    exact_accuracy,
    MULTIPLE_CHOICE,
)
BIRDS_BARE = Task(
    "birds-bare",
    f"the same without descriptions: {_BIRD_FILES}",
    partial(_read_birds, False),
    exact_accuracy,
    MULTIPLE_CHOICE,
    folder="birds",
)


MEME_PROMPT = "<image> Question: does this picture contain real hate speech? Answer:"
MEME_OPTIONS = ("yes", "no")


class _Meme(FileRow):
    id: int | str
    img: str
    label: Annotated[int, Field(ge=0, le=1)]


def _read_memes(files: tuple[str, ...], folder: Path, _generated: Path) -> list[Example]:
    file = next((folder / name for name in files if (folder / name).is_file()), folder / files[0])
    return [
        Example(
            str(row.id), MEME_PROMPT, (image(folder, row.img, where),), (MEME_OPTIONS[1 - row.label],), MEME_OPTIONS
        )
        for where, row in read_lines(file, _Meme)
    ]


def score_memes(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Score by ROC-AUC, over the difference between the log-probabilities of "yes" and "no"."""
    labels = [example.correct[0] == MEME_OPTIONS[0] for example in examples]
    return {"auc": TaskScore(100 * roc_auc(labels, [a.log_p[0] - a.log_p[1] for a in answers]))}


HATEFUL = Task(
    "hateful",
    "whether a meme is hateful: dev_seen.jsonl, train.jsonl, img/",
    partial(_read_memes, ("dev_seen.jsonl", "dev.jsonl")),
    score_memes,
    MULTIPLE_CHOICE,
    partial(_read_memes, ("train.jsonl",)),
)


_NUMBERS = {3: "three", 4: "four", 8: "eight"}


def matrix_prompt(num_shown: int) -> str:
    """Return the prompt for the shown cells of a matrix and a candidate, with `<image>` for each.

    The answer is the candidate after which "Yes" is most likely (arXiv 2302.14045, section 4.1).
    """
    shown = PLACEHOLDER * num_shown
    return f"Here are {_NUMBERS[num_shown]} images: {shown} The following image is: {PLACEHOLDER} Is it correct?"


def _read_matrices(folder: Path, _generated: Path) -> list[Example]:
    return [
        Example(p.id, matrix_prompt(len(p.images)), p.images, (str(p.answer),), ("Yes",), p.candidates)
        for p in raven.read(folder)
    ]


RAVEN = Task(
    "raven",
    f"which of six images completes a matrix: {raven.FILE}; `weft raven` generates a set",
    _read_matrices,
    exact_accuracy,
    MULTIPLE_CHOICE,
)
