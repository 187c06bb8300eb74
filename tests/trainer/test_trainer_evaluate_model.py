"""Answers of the model adapter: independent of the batch, and equal to those of the model without a cache."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark_tools import word, write_image
from training import untrained

from trainer.config import TrainConfig
from trainer.evaluate.model import (
    ConstrainedDecoding,
    EncodedPrompt,
    KosmosAdapter,
    Reader,
    Trie,
    encode_prompt,
    first_line,
)
from trainer.evaluate.task import AnswerMethod, AnswerMode, Example
from trainer.generate.engine import GenerationEngine, Prompt, pixels
from trainer.generate.search import beam, greedy
from trainer.load import Saved
from trainer.tokenizer import BOS, END_IMAGE, EOS, IMAGE, PAD, UNK, Tokenizer

OPTIONS = ("Yes", "No", "a red disc", "a red disc on white", "The old harbour looks over the sea", word(3))
SUFFIXES = ["", "Question: what is it? Answer:", "The old harbour", f"It is {word(1)} {word(2)}, older than the bridge"]


@pytest.fixture(scope="module")
def saved(tokenizer: Tokenizer, tiny: Callable[..., TrainConfig]) -> Saved:
    return untrained(tokenizer, tiny("data.sequence_length=160"), seed=2)


@pytest.fixture(scope="module")
def image_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [write_image(tmp_path_factory.mktemp("image_files") / f"{n}.png", n) for n in range(4)]


def encoded_for(
    saved: Saved, image_files: list[Path], method: AnswerMethod, max_tokens: int = 8
) -> list[EncodedPrompt]:
    """Make prompts of different lengths with 0 to 3 images; multiple choice among options or among candidates."""
    reader = Reader(saved.tokenizer, saved.config.vision.latents, saved.config.data.sequence_length)
    found = []
    for number, (suffix, num_images) in enumerate(itertools.product(SUFFIXES, range(4))):
        prompt = "and ".join("<image>" for _ in range(num_images)) + suffix
        options: tuple[str, ...] = ()
        if method != AnswerMethod.GENERATE:
            options = tuple(random.Random(number).sample(OPTIONS, 2 + number % 4))
        candidates: tuple[Path, ...] = ()
        if method == AnswerMethod.MULTIPLE_CHOICE and num_images and number % 2:
            options, candidates = options[:1], tuple(image_files[:3])
        shown = tuple(image_files[: num_images - bool(candidates)])
        example = Example(str(number), prompt, shown, ("x",), options, candidates)
        found.append(encode_prompt(reader, example, max_tokens))
    return found


def log_p(saved: Saved, prompt: Prompt, tokens: list[int]) -> float:
    """Return the log-probability of tokens after a prompt, without a cache. That of <image> is added to </s>."""
    row = torch.tensor([*prompt.tokens_L.tolist(), *tokens])[None]
    image_mask = torch.zeros_like(row, dtype=torch.bool)
    image_mask[0, : len(prompt.image_mask_L)] = torch.from_numpy(prompt.image_mask_L)
    images = torch.stack([pixels(path, saved) for path in prompt.images]) if prompt.images else None
    with torch.no_grad():
        logits = saved.model(row, image_mask, torch.ones_like(row), images)[0, :, : saved.tokenizer.vocab_size].double()
    logits[:, [PAD, UNK, BOS, END_IMAGE]] = -torch.inf
    shares = logits.softmax(-1)
    shares[:, EOS] += shares[:, IMAGE]
    first = len(prompt.tokens_L)
    return float(sum(shares[first - 1 + n, token].log() for n, token in enumerate(tokens)))


@pytest.mark.parametrize(
    ("method", "num_beams"),
    [
        (AnswerMethod.GENERATE, 1),
        (AnswerMethod.GENERATE, 5),
        (AnswerMethod.MULTIPLE_CHOICE, 1),
        (AnswerMethod.CONSTRAINED, 1),
        (AnswerMethod.CONSTRAINED, 5),
    ],
)
def test_a_batch_changes_no_answer(saved: Saved, image_files: list[Path], method: AnswerMethod, num_beams: int) -> None:
    encoded, of, model = encoded_for(saved, image_files, method), AnswerMode(method, 8, num_beams), KosmosAdapter(saved)
    alone = [model.answer(of, [one])[0] for one in encoded]
    shuffled = random.Random(0).sample(encoded, len(encoded))
    for order, size in ((encoded, len(encoded)), (shuffled, 5)):
        parts = [order[first : first + size] for first in range(0, len(order), size)]
        answers = {
            one.example.id: answer for part in parts for one, answer in zip(part, model.answer(of, part), strict=True)
        }
        for one, expected in zip(encoded, alone, strict=True):
            assert answers[one.example.id].text == expected.text
            assert answers[one.example.id].log_p == pytest.approx(expected.log_p, rel=0, abs=1e-5)
    assert len({answer.text for answer in alone}) > 3


def test_multiple_choice_takes_the_most_likely_option(saved: Saved, image_files: list[Path]) -> None:
    encoded = encoded_for(saved, image_files, AnswerMethod.MULTIPLE_CHOICE)
    num_candidates = 0
    for one, answer in zip(
        encoded, KosmosAdapter(saved).answer(AnswerMode(AnswerMethod.MULTIPLE_CHOICE), encoded), strict=True
    ):
        tokens = [saved.tokenizer.encode(option).tolist() for option in one.example.options]
        expected = [log_p(saved, prompt, option) for prompt in one.prompts for option in tokens]
        assert answer.log_p == pytest.approx(expected, rel=0, abs=1e-4)
        best = max(range(len(expected)), key=expected.__getitem__)
        assert answer.text == (str(best) if one.example.candidates else one.example.options[best])
        num_candidates += len(one.example.candidates)
    assert num_candidates


@pytest.mark.parametrize("num_beams", [1, 3])
def test_constrained_decoding_gives_only_options(saved: Saved, image_files: list[Path], num_beams: int) -> None:
    """With options that share a prefix, one that is a prefix of another, and ones longer than `max_tokens`."""
    reader = Reader(saved.tokenizer, saved.config.vision.latents, saved.config.data.sequence_length)
    lists = [OPTIONS, ("red", "red disc", "red deer"), tuple(" ".join(map(word, range(k, k + 9))) for k in range(5))]
    encoded = [
        encode_prompt(reader, Example(str(n), f"<image> {word(n)}", (image_files[n % 4],), ("x",), options), 4)
        for n, options in enumerate(lists * 4)
    ]
    assert max(one.max_tokens for one in encoded) > 20
    answers = KosmosAdapter(saved).answer(AnswerMode(AnswerMethod.CONSTRAINED, 4, num_beams), encoded)
    assert all(answer.text in one.example.options for one, answer in zip(encoded, answers, strict=True))
    assert len({answer.text for answer in answers}) > 3


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_enough_beams_find_the_most_likely_option(saved: Saved, image_files: list[Path], length_penalty: float) -> None:
    encoded = encoded_for(saved, image_files, AnswerMethod.CONSTRAINED)[::3]
    engine = GenerationEngine(saved, [one.prompts[0] for one in encoded], max(one.max_tokens for one in encoded))
    tries = [Trie.of(map(saved.tokenizer.encode, one.example.options), EOS) for one in encoded]
    room = [one.max_tokens for one in encoded]
    found = beam(ConstrainedDecoding(engine, tries), len(OPTIONS) + 1, room, EOS, length_penalty)
    for one, tokens in zip(encoded, found, strict=True):
        spellings = [[*saved.tokenizer.encode(option).tolist(), EOS] for option in one.example.options]
        scores = [log_p(saved, one.prompts[0], tokens) / len(tokens) ** length_penalty for tokens in spellings]
        assert [*tokens, EOS] == spellings[scores.index(max(scores))]


def test_greedy_constrained_decoding_takes_the_most_likely_allowed_token() -> None:
    """With a table of probabilities whose most likely token is in no trie."""

    class Fixed:
        def first(self) -> torch.Tensor:
            return torch.tensor([[0.0, 0.1, 0.2, 0.3, 0.9]]).repeat(2, 1)

        def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
            return self.first()[: len(rows_R)]

    lists = [Trie.of([[1], [2, 1]], 0), Trie.of([[1, 2], [1, 3, 1]], 0)]
    assert greedy(ConstrainedDecoding(Fixed(), lists), [9, 9], 0) == [[2, 1], [1, 3, 1]]


def test_a_trie_holds_the_allowed_continuations() -> None:
    trie = Trie.of([np.array([7, 8]), np.array([7]), np.array([9, 8])], EOS)
    assert set(trie.children) == {7, 9}
    assert set(trie.children[7].children) == {8, EOS} and set(trie.children[9].children) == {8}
    assert not trie.children[7].children[EOS].children


@pytest.mark.parametrize(
    ("text", "line"), [("", ""), ("\n\n", ""), (" red \nblue", "red"), ("\n red", "red"), ("a\r\nb", "a")]
)
def test_an_answer_is_the_first_line_that_is_not_empty(text: str, line: str) -> None:
    assert first_line(text) == line
