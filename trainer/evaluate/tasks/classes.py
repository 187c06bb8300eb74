"""ImageNet (arXiv 1409.0575): what a photo shows, said freely or held to the names of the thousand classes.

Files as Kaggle gives them: LOC_synset_mapping.txt, and the validation images by class in `val/`, or all in one folder
(`ILSVRC/Data/CLS-LOC/val` or `val`) with LOC_val_solution.csv. The prompt is the paper's (arXiv 2302.14045, section 5).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from schemas.errors import PathError, SchemaError
from trainer.evaluate.example import Answer, Example
from trainer.evaluate.files import Row, image, quoted, read_table, text_of
from trainer.evaluate.judging import one_of_right, share
from trainer.evaluate.task import SAY, SPELL, Score, Task

PROMPT = "<image> The photo of the"
_NAMES, _SOLUTION = "LOC_synset_mapping.txt", "LOC_val_solution.csv"


class _Labelled(Row):
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


def _read(held: bool, folder: Path, _drawn: Path) -> list[Example]:
    names = _names(folder)
    options = tuple(sorted({of_class[0] for of_class in names.values()})) if held else ()
    found = []
    for where, synset, path in _images(folder):
        if synset not in names:
            raise SchemaError(f"{where}: class {quoted(synset)} is not in {_NAMES}")
        right = names[synset][:1] if held else names[synset]
        found.append(Example(path.stem, PROMPT, (path,), right, options))
    return found


def score_free(examples: Sequence[Example], answers: Sequence[Answer]) -> dict[str, Score]:
    """Judge what was said freely: any name of the class is right, in letters of any case."""
    pairs = zip(examples, answers, strict=True)
    return {"accuracy": share([a.text.casefold().rstrip(".") in map(str.casefold, e.right) for e, a in pairs])}


_FILES = f"{_NAMES}, val/ (by class, or flat with {_SOLUTION})"
IMAGENET = Task(
    "imagenet", f"what photos show, of a thousand names: {_FILES}", partial(_read, True), one_of_right, SPELL
)
IMAGENET_FREE = Task(
    "imagenet-free",
    f"what photos show, said freely: {_FILES}",
    partial(_read, False),
    score_free,
    SAY,
    folder="imagenet",
)
