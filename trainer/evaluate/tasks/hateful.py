"""HatefulMemes (arXiv 2005.04790): `dev_seen.jsonl` (once `dev.jsonl`), `train.jsonl`, `img/`.

The prompt, and ROC-AUC on the validation set, are the paper's (arXiv 2302.14045, section 4.7).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from trainer.evaluate.example import Answer, Example
from trainer.evaluate.files import Row, image, read_lines
from trainer.evaluate.metrics.auc import roc_auc
from trainer.evaluate.task import RANK, Score, Task

PROMPT = "<image> Question: does this picture contain real hate speech? Answer:"
OPTIONS = ("yes", "no")


class _Meme(Row):
    id: int | str
    img: str
    label: Annotated[int, Field(ge=0, le=1)]


def _read(files: tuple[str, ...], folder: Path, _drawn: Path) -> list[Example]:
    file = next((folder / name for name in files if (folder / name).is_file()), folder / files[0])
    return [
        Example(str(row.id), PROMPT, (image(folder, row.img, where),), (OPTIONS[1 - row.label],), OPTIONS)
        for where, row in read_lines(file, _Meme)
    ]


def score(examples: Sequence[Example], answers: Sequence[Answer]) -> dict[str, Score]:
    """Judge by ROC-AUC: how far "yes" is likelier than "no"."""
    labels = [example.right[0] == OPTIONS[0] for example in examples]
    return {"auc": Score(100 * roc_auc(labels, [a.log_p[0] - a.log_p[1] for a in answers]))}


HATEFUL = Task(
    "hateful",
    "whether memes are hateful: dev_seen.jsonl, train.jsonl, img/",
    partial(_read, ("dev_seen.jsonl", "dev.jsonl")),
    score,
    RANK,
    partial(_read, ("train.jsonl",)),
)
