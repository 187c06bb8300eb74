"""Captions: COCO and Flickr30k by Karpathy's split (arXiv 1412.2306), `dataset_coco.json` and `dataset_flickr30k.json`.

The prompt, five beams and CIDEr are the paper's (arXiv 2302.14045, section 4.2).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from trainer.evaluate.example import Answer, Example
from trainer.evaluate.files import Row, image, read_json
from trainer.evaluate.metrics.cider import cider
from trainer.evaluate.metrics.spice import spice
from trainer.evaluate.task import Manner, Score, Task

PROMPT = "<image> An image of"


class _Sentence(Row):
    raw: str


class _Image(Row):
    filename: str
    filepath: str = ""  # COCO's: val2014 or train2014
    imgid: int
    split: str
    sentences: Annotated[list[_Sentence], Field(min_length=1)]


class _Split(Row):
    images: list[_Image]


def _read(file: str, images: str, splits: tuple[str, ...], folder: Path, _drawn: Path) -> list[Example]:
    found = []
    for number, row in enumerate(read_json(folder / file, _Split).images):
        if row.split in splits:
            name = str(PurePosixPath(row.filepath or images, row.filename))
            path = image(folder, name, f"{folder / file}, images.{number}")
            found.append(Example(str(row.imgid), PROMPT, (path,), tuple(s.raw.strip() for s in row.sentences)))
    return found


def score(examples: Sequence[Example], answers: Sequence[Answer]) -> dict[str, Score]:
    """Judge captions by CIDEr, and by SPICE where its Java program is."""
    said, right = [answer.text for answer in answers], [example.right for example in examples]
    found = {"cider": Score(100 * cider(said, right))}
    by_spice = spice(said, right)
    return found if by_spice is None else {**found, "spice": Score(100 * by_spice)}


def _task(name: str, file: str, images: str) -> Task:
    return Task(
        name,
        f"captions of Karpathy's test split: {file}, and the images it names",
        partial(_read, file, images, ("test",)),
        score,
        Manner("say", max_tokens=32, num_beams=5),
        partial(_read, file, images, ("train", "restval")),
    )


COCO = _task("coco", "dataset_coco.json", "images")
FLICKR30K = _task("flickr30k", "dataset_flickr30k.json", "flickr30k-images")
