"""Questions about images that ten people answered: VQAv2 (arXiv 1612.00837) and VizWiz (arXiv 1802.08218).

The paper reports VQAv2's test-dev, whose answers a server keeps; here the validation set is asked. The prompt is the
paper's (arXiv 2302.14045, section 4.3).
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field, RootModel

from schemas.errors import SchemaError
from trainer.evaluate.example import Answer, Example, plain
from trainer.evaluate.files import Row, image, read_json
from trainer.evaluate.judging import mean_of
from trainer.evaluate.metrics import vqa
from trainer.evaluate.task import SAY, Score, Task


class _Given(Row):
    answer: str


class _Question(Row):
    question_id: int
    image_id: int
    question: str


class _Questions(Row):
    questions: list[_Question]


class _Annotation(Row):
    question_id: int
    answers: Annotated[list[_Given], Field(min_length=1)]


class _Annotations(Row):
    annotations: list[_Annotation]


class _Seen(Row):
    image: str
    question: str
    answers: Annotated[list[_Given], Field(min_length=1)]


class _AllSeen(RootModel[list[_Seen]]):
    pass


def _words(question: str) -> str:
    return f"<image> Question: {plain(question)} Answer:"


def _right(given: list[_Given]) -> tuple[str, ...]:
    """Order what people answered, the most frequent first, as shots show it; all ten count."""
    counts = Counter(one.answer for one in given)
    return tuple(sorted((one.answer for one in given), key=lambda answer: -counts[answer]))


def _vqav2(split: str, folder: Path, _drawn: Path) -> list[Example]:
    file, answers = (folder / f"v2_{kind}_{split}_{what}.json" for kind, what in
                     (("OpenEnded_mscoco", "questions"), ("mscoco", "annotations")))  # fmt: skip
    right = {a.question_id: _right(a.answers) for a in read_json(answers, _Annotations).annotations}
    found = []
    for number, row in enumerate(read_json(file, _Questions).questions):
        where = f"{file}, questions.{number}"
        if row.question_id not in right:
            raise SchemaError(f"{where}: question {row.question_id} has no answers in {answers.name}")
        path = image(folder / split, f"COCO_{split}_{row.image_id:012}.jpg", where)
        found.append(Example(str(row.question_id), _words(row.question), (path,), right[row.question_id]))
    return found


def _vizwiz(split: str, folder: Path, _drawn: Path) -> list[Example]:
    file = next((p for p in (folder / "Annotations" / f"{split}.json", folder / f"{split}.json") if p.is_file()),
                folder / f"{split}.json")  # fmt: skip
    return [
        Example(row.image, _words(row.question), (image(folder / split, row.image, f"{file}, {number}"),),
                _right(row.answers))
        for number, row in enumerate(read_json(file, _AllSeen).root)
    ]  # fmt: skip


def score(examples: Sequence[Example], answers: Sequence[Answer]) -> dict[str, Score]:
    """Judge by VQA accuracy."""
    return {"accuracy": mean_of(vqa.accuracy, examples, answers)}


VQAV2 = Task(
    "vqav2",
    "questions of val2014: v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json, val2014/",
    partial(_vqav2, "val2014"),
    score,
    SAY,
    partial(_vqav2, "train2014"),
)
VIZWIZ = Task(
    "vizwiz",
    "questions of blind people: Annotations/val.json, val/",
    partial(_vizwiz, "val"),
    score,
    SAY,
    partial(_vizwiz, "train"),
)
