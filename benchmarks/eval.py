"""Compare batched generation with single prompts: `python -m benchmarks.eval`.

The peer is the same decoder, with the same cache of keys and values and as many threads, given one example at a time;
of rankings one option at a time. What is answered must be the same. Captions by five beams, as COCO's are, which one
example alone reads as five rows; rankings of options of several tokens.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.results import report
from tests.sampleweb.captions import caption
from tests.sampleweb.drawing import example
from trainer.config import load
from trainer.evaluate.model import EncodedPrompt, KosmosAdapter, Reader, encode_prompt
from trainer.evaluate.task import AnswerMethod, AnswerMode, Example
from trainer.load import Saved
from trainer.model.kosmos import Kosmos
from trainer.tokenizer import Tokenizer
from trainer.train_tokenizer import tokenizer_of

BATCH, NUM_BATCHES, NUM_ROUNDS = 32, 3, 2
MAX_TOKENS, NUM_BEAMS, NUM_OPTIONS = 24, 5, 8


def main() -> None:
    """Measure in turn, print and store the ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = [example(0, number, "held-out") for number in range(BATCH * NUM_BATCHES)]
        said = [caption(scene) for scene, _ in scenes]
        paths = [folder / f"{number}.png" for number in range(len(scenes))]
        for path, (_, picture) in zip(paths, scenes, strict=True):
            picture.save(path)
        saved = _model(tokenizer_of(said, 600))
        options = tuple(dict.fromkeys(said))[:NUM_OPTIONS]
        measures = {}
        for measure, mode, words, held in (
            (
                "captions_per_second",
                AnswerMode(AnswerMethod.GENERATE, MAX_TOKENS, NUM_BEAMS),
                "<image> An image of",
                (),
            ),
            ("rankings_per_second", AnswerMode(AnswerMethod.MULTIPLE_CHOICE), "<image> What is it?", options),
        ):
            reader = Reader(saved.tokenizer, saved.config.vision.latents, saved.config.data.sequence_length)
            asked = [encode_prompt(reader, Example(p.name, words, (p,), ("",), held), MAX_TOKENS) for p in paths]
            measures[measure] = (*_rates(KosmosAdapter(saved), mode, asked), f"examples/s, batch {BATCH} against 1")
    report("eval", measures)


def _rates(model: KosmosAdapter, mode: AnswerMode, asked: Sequence[EncodedPrompt]) -> tuple[float, float]:
    """Return examples per second in batches and singly, in turn, the best of several rounds."""
    best, said = [0.0, 0.0], list[list[str]]()
    for _ in range(NUM_ROUNDS):
        for place, answer in enumerate((_in_batches, _one_by_one)):
            started = time.perf_counter()
            said.append(answer(model, mode, asked))
            best[place] = max(best[place], len(asked) / (time.perf_counter() - started))
    assert all(one == said[0] for one in said), "a batch changed an answer"
    return best[0], best[1]


def _in_batches(model: KosmosAdapter, mode: AnswerMode, asked: Sequence[EncodedPrompt]) -> list[str]:
    parts = [asked[first : first + BATCH] for first in range(0, len(asked), BATCH)]
    return [answer.text for part in parts for answer in model.answer(mode, part)]


def _one_by_one(model: KosmosAdapter, mode: AnswerMode, asked: Sequence[EncodedPrompt]) -> list[str]:
    if mode.method is not AnswerMethod.MULTIPLE_CHOICE:
        return [model.answer(mode, [one])[0].text for one in asked]
    return [max(one.example.options, key=lambda option: _log_p(model, mode, one, option)) for one in asked]


def _log_p(model: KosmosAdapter, mode: AnswerMode, asked: EncodedPrompt, option: str) -> float:
    alone = replace(asked, example=replace(asked.example, options=(option,)))
    return model.answer(mode, [alone])[0].log_p[0]


def _model(words: Tokenizer) -> Saved:
    """Make a decoder of the debug configuration, as it is before it has learnt: it is as fast as after."""
    torch.manual_seed(0)
    config = load("debug")
    model = Kosmos(config, words.vocab_size).eval().requires_grad_(False)
    return Saved(model, words, config, torch.device("cpu"))


if __name__ == "__main__":
    main()
