"""Every benchmark's files in the form that it is published in, of invented content, and what is true of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exam_known import colours, relative_size
from exam_said import captions, vizwiz, vqav2, websrc
from exam_seen import birds, hateful, imagenet, raven, sst2
from exam_tools import Known

from trainer.evaluate.task import Example

WRITERS: dict[str, Callable[[Path, Path, int], Known]] = {
    "coco": partial(captions, True), "flickr30k": partial(captions, False), "vqav2": vqav2, "vizwiz": vizwiz,
    "raven": raven, "sst2": sst2, "hateful": hateful, "websrc": websrc, "imagenet": partial(imagenet, True),
    "imagenet-free": partial(imagenet, False), "birds": partial(birds, True), "birds-bare": partial(birds, False),
    "relative-size": relative_size, "memory-color": partial(colours, True), "color-terms": partial(colours, False),
}  # fmt: skip


@dataclass(frozen=True)
class Exam:
    """Files of a task under `data`, and the truth about them."""

    data: Path
    output: Path
    """Of the evaluation: what is drawn for a task lies in its folder of the task's name."""
    asked: list[Example]
    shots: list[Example]


def write(task: str, root: Path, number: int = 6) -> Exam:
    """Write the files of a task that ask `number` things, an even one; the same ones each time."""
    folder = root / "data" / {"imagenet-free": "imagenet", "birds-bare": "birds"}.get(task, task)
    folder.mkdir(parents=True)
    return Exam(root / "data", root / "output", *WRITERS[task](folder, root / "output" / task, number))
