"""A trained model that answers: generate, multiple choice, or constrained to a list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol

import torch

from schemas.errors import RecipeError
from trainer.evaluate.task import CONTEXT, AnswerMode, Completion, Example, plain
from trainer.generate.engine import GenerationEngine, Prompt, format_prompt
from trainer.generate.search import NextToken, search
from trainer.load import Saved
from trainer.tokenizer import END_IMAGE, EOS, IMAGE, Tokenizer

_SPARE_TOKENS = 8  # a text that was cut between two tokens may take a few more when it is encoded again


@dataclass(frozen=True)
class Reader:
    """What must be known of a model to make its prompts: so prompts can be shown without one."""

    tokenizer: Tokenizer
    num_image_tokens: int
    """Embeddings of an image."""
    length: int
    """Tokens that the model reads at most, answer included."""


@dataclass(frozen=True)
class EncodedPrompt:
    """An example with its prompts: one, or one for each candidate."""

    example: Example
    prompts: tuple[Prompt, ...]
    max_tokens: int
    """Tokens that an answer takes at most, </s> included."""

    @property
    def num_tokens(self) -> int:
        return sum(len(prompt.tokens_L) for prompt in self.prompts)

    def digest(self) -> str:
        """Name all that an answer depends on, but for the model."""
        h = hashlib.sha256(repr((self.example.options, self.example.candidates)).encode())
        for prompt in self.prompts:
            h.update(prompt.tokens_L.tobytes() + repr(prompt.images).encode())
        return h.hexdigest()


def encode_prompt(reader: Reader, example: Example, max_tokens: int) -> EncodedPrompt:
    """Make the prompts of an example, leaving room for an answer; a context is cut to what fits.

    An answer takes as many tokens as the longest option, or `max_tokens` where anything may be said.

    Raises: PathError when an image is gone; RecipeError when the model cannot read so much.
    """
    most = _longest(reader.tokenizer, example.options) + 1 if example.options else max_tokens
    room = reader.length - most
    try:
        words = _filled(reader, example, room) if CONTEXT in example.words else example.words
        prompts = [
            format_prompt(reader.tokenizer, words, [*example.images, *last], reader.num_image_tokens, room)
            for last in ([[candidate] for candidate in example.candidates] or [[]])
        ]
    except RecipeError as error:
        raise RecipeError(f"{example.id}: {error}, beside {most} for the answer; give fewer --shots") from error
    return EncodedPrompt(replace(example, words=words), tuple(prompts), most)


def _filled(reader: Reader, example: Example, room: int) -> str:
    """Return an example's words with as much of the context as fits into `room` tokens in its place."""
    without = example.words.replace(CONTEXT, " ")
    taken = len(format_prompt(reader.tokenizer, without, [*example.images], reader.num_image_tokens, room).tokens_L)
    tokens = reader.tokenizer.encode(plain(example.context))[: max(0, room - taken - _SPARE_TOKENS)]
    return example.words.replace(CONTEXT, reader.tokenizer.decode(tokens))


@lru_cache(maxsize=16)
def _longest(tokenizer: Tokenizer, options: tuple[str, ...]) -> int:
    return max(len(tokenizer.encode(option)) for option in options)


def show_prompt(reader: Reader, prompt: Prompt) -> str:
    """Write down what a model really receives: words, special tokens, and slots with the image that fills them."""
    parts, images, words = [], iter(prompt.images), list[int]()
    for token, is_slot in zip(prompt.tokens_L.tolist(), prompt.image_mask_L.tolist(), strict=True):
        if is_slot:
            continue
        if token == IMAGE:
            parts += [reader.tokenizer.decode(words), f"<image>[{reader.num_image_tokens} slots: {next(images).name}]"]
            words = []
        elif token == END_IMAGE:
            parts.append("</image>")
        else:
            words.append(token)
    return "<s>" + "".join([*parts, reader.tokenizer.decode(words)])


@dataclass
class Trie:
    """What may follow a beginning: tokens, each with what may follow then."""

    children: dict[int, Trie] = field(default_factory=dict)

    @classmethod
    def of(cls, spellings: Iterable[Sequence[int]], end: int) -> Trie:
        """Make the trie of spellings in tokens, each closed by `end`."""
        root = cls()
        for spelling in spellings:
            node = root
            for token in (*spelling, end):
                node = node.children.setdefault(int(token), cls())
        return root


class ConstrainedDecoding:
    """An expectation (trainer/generate/search.py) that gives a chance to nothing but what is on each prompt's list."""

    def __init__(self, expected: NextToken, lists: Sequence[Trie]) -> None:
        self._expected, self._nodes = expected, list(lists)

    def first(self) -> torch.Tensor:
        return self._held(self._expected.first())

    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        steps = zip(tokens_R.tolist(), rows_R.tolist(), strict=True)
        self._nodes = [self._nodes[row].children.get(token, Trie()) for token, row in steps]
        return self._held(self._expected.then(tokens_R, rows_R))

    def _held(self, log_p_RV: torch.Tensor) -> torch.Tensor:
        held_RV = torch.full_like(log_p_RV, -torch.inf)
        for row, node in enumerate(self._nodes):
            allowed = list(node.children)
            held_RV[row, allowed] = log_p_RV[row, allowed]
        return held_RV


class ModelAdapter(Protocol):
    """One who answers a batch."""

    def answer(self, manner: AnswerMode, asked: Sequence[EncodedPrompt]) -> list[Completion]:
        """Return an answer to each, in order."""


class KosmosAdapter:
    """A trained model, all of a batch at a time: prompts are read once and kept, then go on token by token."""

    def __init__(self, saved: Saved) -> None:
        self._saved = saved
        self._trie = lru_cache(maxsize=4)(self._spelt)

    def answer(self, manner: AnswerMode, asked: Sequence[EncodedPrompt]) -> list[Completion]:
        """Answer a batch. Raises: IntegrityError when an image cannot be read."""
        return self._rank(asked) if manner.how == "rank" else self._say(manner, asked)

    def _rank(self, asked: Sequence[EncodedPrompt]) -> list[Completion]:
        encode = self._saved.tokenizer.encode
        prompts = [prompt for one in asked for prompt in one.prompts]
        options = [
            [encode(option) for option in (one.example.options[:1] if one.example.candidates else one.example.options)]
            for one in asked
            for _ in one.prompts
        ]
        longest = max(len(option) for of_prompt in options for option in of_prompt)
        scores = iter(GenerationEngine(self._saved, prompts, longest).score(options))
        answers = []
        for one in asked:
            log_p = [score for _ in one.prompts for score in next(scores)]
            best = max(range(len(log_p)), key=log_p.__getitem__)
            answers.append(Completion(str(best) if one.example.candidates else one.example.options[best], tuple(log_p)))
        return answers

    def _say(self, manner: AnswerMode, asked: Sequence[EncodedPrompt]) -> list[Completion]:
        room = [one.max_tokens for one in asked]
        going_on = GenerationEngine(self._saved, [one.prompts[0] for one in asked], max(room))
        held = (
            ConstrainedDecoding(going_on, [self._trie(one.example.options) for one in asked])
            if manner.how == "spell"
            else going_on
        )
        said = search(held, manner.num_beams, room, EOS)
        return [Completion(first_line(self._saved.tokenizer.decode(tokens))) for tokens in said]

    def _spelt(self, options: tuple[str, ...]) -> Trie:
        return Trie.of((self._saved.tokenizer.encode(option).tolist() for option in options), EOS)


def first_line(said: str) -> str:
    """Return the answer in what a model said: its first line that is not empty."""
    return next((line.strip() for line in said.splitlines() if line.strip()), "")
