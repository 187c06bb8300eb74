"""The benchmarks of Kosmos-1, one module for each kind. Files are read in the form in which they are published."""

from trainer.evaluate.task import Task
from trainer.evaluate.tasks.images import BIRDS, BIRDS_BARE, COCO, FLICKR30K, HATEFUL, IMAGENET, IMAGENET_FREE, RAVEN
from trainer.evaluate.tasks.questions import VIZWIZ, VQAV2, WEBSRC
from trainer.evaluate.tasks.text import COLOR_TERMS, MEMORY_COLOR, RELATIVE_SIZE, SST2

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        COCO, FLICKR30K, VQAV2, VIZWIZ, RAVEN, SST2, HATEFUL, WEBSRC, IMAGENET, IMAGENET_FREE, BIRDS, BIRDS_BARE,
        RELATIVE_SIZE, MEMORY_COLOR, COLOR_TERMS,
    )
}  # fmt: skip
