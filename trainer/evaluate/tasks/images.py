"""Tasks about what an image shows: captions, ImageNet, birds by description, hateful memes."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from schemas.errors import PathError, SchemaError
from trainer.evaluate.caption_metrics import cider, spice
from trainer.evaluate.metrics import roc_auc
from trainer.evaluate.task import (
    RANK,
    SAY,
    SPELL,
    AnswerMode,
    Completion,
    Example,
    FileRow,
    Task,
    TaskScore,
    image,
    one_of_right,
    plain,
    quoted,
    read_json,
    read_lines,
    read_table,
    share,
    text_of,
)

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


def _read_captions(file: str, images: str, splits: tuple[str, ...], folder: Path, _drawn: Path) -> list[Example]:
    found = []
    for number, row in enumerate(read_json(folder / file, _Split).images):
        if row.split in splits:
            name = str(PurePosixPath(row.filepath or images, row.filename))
            path = image(folder, name, f"{folder / file}, images.{number}")
            found.append(Example(str(row.imgid), CAPTION_PROMPT, (path,), tuple(s.raw.strip() for s in row.sentences)))
    return found


def score_captions(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Judge captions by CIDEr, and by SPICE where its Java program is."""
    said, right = [answer.text for answer in answers], [example.right for example in examples]
    found = {"cider": TaskScore(100 * cider(said, right))}
    by_spice = spice(said, right)
    return found if by_spice is None else {**found, "spice": TaskScore(100 * by_spice)}


def _task(name: str, file: str, images: str) -> Task:
    return Task(
        name,
        f"captions of Karpathy's test split: {file}, and the images it names",
        partial(_read_captions, file, images, ("test",)),
        score_captions,
        AnswerMode("say", max_tokens=32, num_beams=5),
        partial(_read_captions, file, images, ("train", "restval")),
    )


COCO = _task("coco", "dataset_coco.json", "images")
FLICKR30K = _task("flickr30k", "dataset_flickr30k.json", "flickr30k-images")


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
            raise SchemaError(f"{folder / _NAMES}, line {number}: no name behind {quoted(synset)}")
    return found


def _images(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield where each image is told of, its class, and itself."""
    flat = next((place for place in (folder / "ILSVRC/Data/CLS-LOC/val", folder / "val") if place.is_dir()), None)
    if flat is None:
        raise PathError(f"no folder val in {folder}")
    by_class = sorted(place for place in flat.iterdir() if place.is_dir())
    for place in by_class:
        yield from ((str(path), place.name, path) for path in sorted(place.iterdir()))
    if not by_class:
        for where, row in read_table(folder / _SOLUTION, _Labelled):
            yield where, row.PredictionString.split(" ")[0], image(flat, f"{row.ImageId}.JPEG", where)


def _read_classes(held: bool, folder: Path, _drawn: Path) -> list[Example]:
    names = _names(folder)
    options = tuple(sorted({of_class[0] for of_class in names.values()})) if held else ()
    found = []
    for where, synset, path in _images(folder):
        if synset not in names:
            raise SchemaError(f"{where}: class {quoted(synset)} is not in {_NAMES}")
        right = names[synset][:1] if held else names[synset]
        found.append(Example(path.stem, CLASS_PROMPT, (path,), right, options))
    return found


def score_free(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Judge what was said freely: any name of the class is right, in letters of any case."""
    pairs = zip(examples, answers, strict=True)
    return {"accuracy": share([a.text.casefold().rstrip(".") in map(str.casefold, e.right) for e, a in pairs])}


_CLASS_FILES = f"{_NAMES}, val/ (by class, or flat with {_SOLUTION})"
IMAGENET = Task(
    "imagenet",
    f"what photos show, of a thousand names: {_CLASS_FILES}",
    partial(_read_classes, True),
    one_of_right,
    SPELL,
)
IMAGENET_FREE = Task(
    "imagenet-free",
    f"what photos show, said freely: {_CLASS_FILES}",
    partial(_read_classes, False),
    score_free,
    SAY,
    folder="imagenet",
)


QUESTION = "<image> Question: what is the name of the bird in the picture? Answer:"


class _Pair(FileRow):
    classes: Annotated[list[str], Field(min_length=2, max_length=2)]
    descriptions: Annotated[list[str], Field(min_length=2, max_length=2)]


def name_of(bird: str) -> str:
    """Return the name in a class: 191.Red_headed_Woodpecker is Red headed Woodpecker."""
    return bird.partition(".")[2].replace("_", " ")


def _read_birds(described: bool, folder: Path, _drawn: Path) -> list[Example]:
    classes, of_image = (_numbered(folder / name) for name in ("classes.txt", "image_class_labels.txt"))
    split, paths = (_numbered(folder / name) for name in ("train_test_split.txt", "images.txt"))
    known, found = set(classes.values()), []
    for where, pair in read_lines(folder / "pairs.jsonl", _Pair):
        if unknown := [bird for bird in pair.classes if bird not in known]:
            raise SchemaError(f"{where}: class {quoted(unknown[0])} is not in classes.txt")
        options = tuple(map(name_of, pair.classes))
        if not all(options) or options[0] == options[1]:
            raise SchemaError(f"{where}: two classes as 001.Great_Tit are wanted, not {quoted(pair.classes)}")
        told = " ".join(map(plain, pair.descriptions))
        words = f"{told} {QUESTION}" if described else QUESTION
        for number, path in paths.items():
            bird = classes.get(of_image.get(number, ""), "")
            if split.get(number) == "0" and bird in pair.classes:
                place = image(folder / "images", path, f"{folder / 'images.txt'}, image {number[:20]}")
                found.append(Example(f"{'-'.join(options)}-{number}", words, (place,), (name_of(bird),), options))
    return found


def _numbered(path: Path) -> dict[str, str]:
    found = {}
    for number, line in enumerate(text_of(path).splitlines(), 1):
        key, _, value = line.partition(" ")
        if not value:
            raise SchemaError(f"{path}, line {number}: a number and a value are wanted, not {quoted(line)}")
        found[key] = value.strip()
    return found


_BIRD_FILES = "CUB-200-2011 and pairs.jsonl"
BIRDS = Task(
    "birds", f"which of two birds it is, both described: {_BIRD_FILES}", partial(_read_birds, True), one_of_right, RANK
)
BIRDS_BARE = Task(
    "birds-bare",
    f"the same without descriptions: {_BIRD_FILES}",
    partial(_read_birds, False),
    one_of_right,
    RANK,
    folder="birds",
)


MEME_PROMPT = "<image> Question: does this picture contain real hate speech? Answer:"
MEME_OPTIONS = ("yes", "no")


class _Meme(FileRow):
    id: int | str
    img: str
    label: Annotated[int, Field(ge=0, le=1)]


def _read_memes(files: tuple[str, ...], folder: Path, _drawn: Path) -> list[Example]:
    file = next((folder / name for name in files if (folder / name).is_file()), folder / files[0])
    return [
        Example(
            str(row.id), MEME_PROMPT, (image(folder, row.img, where),), (MEME_OPTIONS[1 - row.label],), MEME_OPTIONS
        )
        for where, row in read_lines(file, _Meme)
    ]


def score_memes(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Judge by ROC-AUC: how far "yes" is likelier than "no"."""
    labels = [example.right[0] == MEME_OPTIONS[0] for example in examples]
    return {"auc": TaskScore(100 * roc_auc(labels, [a.log_p[0] - a.log_p[1] for a in answers]))}


HATEFUL = Task(
    "hateful",
    "whether memes are hateful: dev_seen.jsonl, train.jsonl, img/",
    partial(_read_memes, ("dev_seen.jsonl", "dev.jsonl")),
    score_memes,
    RANK,
    partial(_read_memes, ("train.jsonl",)),
)
