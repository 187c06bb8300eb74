"""Files of every benchmark in their published form with synthetic content, and the examples to expect from them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmark_choices import birds, hateful, imagenet, raven, sst2
from benchmark_generation import captions, vizwiz, vqav2, websrc
from benchmark_text import colours, relative_size
from benchmark_tools import Expected

from trainer.evaluate.task import Example

WRITERS: dict[str, Callable[[Path, Path, int], Expected]] = {
    "coco": partial(captions, True), "flickr30k": partial(captions, False), "vqav2": vqav2, "vizwiz": vizwiz,
    "raven": raven, "sst2": sst2, "hateful": hateful, "websrc": websrc, "imagenet": partial(imagenet, True),
    "imagenet-free": partial(imagenet, False), "birds": partial(birds, True), "birds-bare": partial(birds, False),
    "relative-size": relative_size, "memory-color": partial(colours, True), "color-terms": partial(colours, False),
}  # fmt: skip


@dataclass(frozen=True)
class BenchmarkFiles:
    """Files of a task under `data`, and the examples to expect from them."""

    data: Path
    output: Path
    """Of the evaluation; images that a task renders are in the subfolder of its name."""
    examples: list[Example]
    shots: list[Example]


def write(task: str, root: Path, number: int = 6) -> BenchmarkFiles:
    """Write the files of a task with `number` examples, an even number; the same content each time."""
    folder = root / "data" / {"imagenet-free": "imagenet", "birds-bare": "birds"}.get(task, task)
    folder.mkdir(parents=True)
    return BenchmarkFiles(root / "data", root / "output", *WRITERS[task](folder, root / "output" / task, number))
