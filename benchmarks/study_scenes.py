"""Ask a trained decoder about clean scenes: how likely it finds their captions, and what it says of them.

The same is asked with the images shuffled: what a model that does not look would reach.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from tests.sampleweb.captions import caption
from tests.sampleweb.drawing import example
from trainer.evaluate.caption_metrics import cider
from trainer.evaluate.model import KosmosAdapter, Reader, encode_prompt
from trainer.evaluate.task import AnswerMethod, AnswerMode, Completion, Example
from trainer.load import load

NUM_SCENES, BATCH, MAX_TOKENS = 300, 32, 40
MULTIPLE_CHOICE = AnswerMode(AnswerMethod.MULTIPLE_CHOICE, MAX_TOKENS)
GENERATE = AnswerMode(AnswerMethod.GENERATE, MAX_TOKENS)
Figures = dict[str, float]
"""loss: of the caption's tokens [nats each]; cider; exact: captions said word for word [%]; each again, shuffled."""


def write_scenes(folder: Path) -> list[Example]:
    """Draw scenes that are held out, and return what is asked about them: what a caption sample begins with."""
    folder.mkdir(parents=True, exist_ok=True)
    found, seen = [], set[str]()
    number = 0
    while len(found) < NUM_SCENES:
        scene, picture = example(1, number, "held-out")
        number += 1
        if (said := caption(scene)) not in seen:
            seen.add(said)
            path = folder / f"{len(found):04}.png"
            picture.save(path)
            found.append(Example(path.stem, "<image>", (path,), (said,)))
    return found


def chosen(checkpoint: Path, tokenizer: Path, scenes: Sequence[Example]) -> Figures:
    """Ask a model about scenes, with their images and with each other's."""
    model, reader = _loaded(checkpoint, tokenizer)
    moved = [replace(scene, images=scenes[(n + 1) % len(scenes)].images) for n, scene in enumerate(scenes)]
    plain, shuffled = (_figures(model, reader, which) for which in (scenes, moved))
    return {**plain, **{f"{name}_shuffled": value for name, value in shuffled.items()}}


def _figures(model: KosmosAdapter, reader: Reader, scenes: Sequence[Example]) -> Figures:
    lengths = [len(reader.tokenizer.encode(scene.correct[0])) for scene in scenes]
    ranked = [replace(scene, options=scene.correct) for scene in scenes]
    loss = [-a.log_p[0] / n for a, n in zip(_answers(model, reader, ranked, MULTIPLE_CHOICE), lengths, strict=True)]
    said = [answer.text for answer in _answers(model, reader, scenes, GENERATE)]
    right = [scene.correct for scene in scenes]
    return {
        "loss": round(fmean(loss), 3),
        "cider": round(100 * cider(said, right), 1),
        "exact": round(100 * fmean(text == of[0] for text, of in zip(said, right, strict=True)), 1),
    }


def _answers(model: KosmosAdapter, reader: Reader, scenes: Sequence[Example], mode: AnswerMode) -> list[Completion]:
    asked = [encode_prompt(reader, scene, MAX_TOKENS) for scene in scenes]
    parts = [asked[first : first + BATCH] for first in range(0, len(asked), BATCH)]
    return [answer for part in parts for answer in model.answer(mode, part)]


def _loaded(checkpoint: Path, tokenizer: Path) -> tuple[KosmosAdapter, Reader]:
    saved = load(str(checkpoint), str(tokenizer))
    return KosmosAdapter(saved), Reader(saved.tokenizer, saved.config.vision.latents, saved.config.data.sequence_length)
