"""The model adapter: prompts of examples, and answers by generation, multiple choice or constrained decoding.

Tensor letters: L tokens of a prompt, R rows, V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol

import torch

from schemas.errors import RecipeError
from trainer.evaluate.task import CONTEXT, AnswerMethod, AnswerMode, Completion, Example, escape
from trainer.generate.engine import GenerationEngine, Prompt, format_prompt
from trainer.generate.search import NextToken, search
from trainer.load import Saved
from trainer.tokenizer import END_IMAGE, EOS, IMAGE, Tokenizer

_SPARE_TOKENS = 8  # a truncated text may take a few more tokens when it is encoded again


@dataclass(frozen=True)
class Reader:
    """What prompts need to know of a model, so that they can be shown without it."""

    tokenizer: Tokenizer
    num_image_tokens: int
    """Embeddings of one image."""
    length: int
    """Maximum number of tokens, including the answer."""


@dataclass(frozen=True)
class EncodedPrompt:
    """An example with its encoded prompts: one, or one for each candidate."""

    example: Example
    prompts: tuple[Prompt, ...]
    max_tokens: int
    """Maximum tokens of an answer, including </s>."""

    @property
    def num_tokens(self) -> int:
        return sum(len(prompt.tokens_L) for prompt in self.prompts)

    def digest(self) -> str:
        """Return a digest of everything that an answer depends on, except the model."""
        h = hashlib.sha256(repr((self.example.options, self.example.candidates)).encode())
        for prompt in self.prompts:
            h.update(prompt.tokens_L.tobytes() + repr(prompt.images).encode())
        return h.hexdigest()


def encode_prompt(reader: Reader, example: Example, max_tokens: int) -> EncodedPrompt:
    """Encode the prompts of an example, with room for an answer; a context is truncated to what fits.

    An answer takes as many tokens as the longest option, or `max_tokens` without options.

    Raises: PathError when an image is missing; RecipeError when a prompt is too long for the model.
    """
    num_answer = _longest(reader.tokenizer, example.options) + 1 if example.options else max_tokens
    room = reader.length - num_answer
    try:
        text = _fill_context(reader, example, room) if CONTEXT in example.prompt else example.prompt
        prompts = [
            format_prompt(reader.tokenizer, text, [*example.images, *last], reader.num_image_tokens, room)
            for last in ([[candidate] for candidate in example.candidates] or [[]])
        ]
    except RecipeError as error:
        raise RecipeError(f"{example.id}: {error}, plus {num_answer} for the answer; use fewer --shots") from error
    return EncodedPrompt(replace(example, prompt=text), tuple(prompts), num_answer)


def _fill_context(reader: Reader, example: Example, room: int) -> str:
    """Return an example's prompt with its context, truncated so that the prompt fits into `room` tokens."""
    without = example.prompt.replace(CONTEXT, " ")
    taken = len(format_prompt(reader.tokenizer, without, [*example.images], reader.num_image_tokens, room).tokens_L)
    tokens = reader.tokenizer.encode(escape(example.context))[: max(0, room - taken - _SPARE_TOKENS)]
    return example.prompt.replace(CONTEXT, reader.tokenizer.decode(tokens))


@lru_cache(maxsize=16)
def _longest(tokenizer: Tokenizer, options: tuple[str, ...]) -> int:
    return max(len(tokenizer.encode(option)) for option in options)


def show_prompt(reader: Reader, prompt: Prompt) -> str:
    """Return a prompt as text, with special tokens, and for an image its number of embeddings and its name."""
    parts, images, pending = [], iter(prompt.images), list[int]()
    for token, is_image in zip(prompt.tokens_L.tolist(), prompt.image_mask_L.tolist(), strict=True):
        if is_image:
            continue
        if token == IMAGE:
            parts.append(reader.tokenizer.decode(pending))
            parts.append(f"<image>[{reader.num_image_tokens} slots: {next(images).name}]")
            pending = []
        elif token == END_IMAGE:
            parts.append("</image>")
        else:
            pending.append(token)
    return "<s>" + "".join([*parts, reader.tokenizer.decode(pending)])


@dataclass
class Trie:
    """A trie of token sequences."""

    children: dict[int, Trie] = field(default_factory=dict)

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int]], end: int) -> Trie:
        """Make the trie of sequences of tokens, each followed by `end`."""
        root = cls()
        for sequence in sequences:
            node = root
            for token in (*sequence, end):
                node = node.children.setdefault(int(token), cls())
        return root


class ConstrainedDecoding:
    """Restricts the next tokens of each prompt to the sequences of its trie."""

    def __init__(self, model: NextToken, tries: Sequence[Trie]) -> None:
        self._model, self._nodes = model, list(tries)

    def first(self) -> torch.Tensor:
        return self._constrained(self._model.first())

    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        steps = zip(tokens_R.tolist(), rows_R.tolist(), strict=True)
        self._nodes = [self._nodes[row].children.get(token, Trie()) for token, row in steps]
        return self._constrained(self._model.then(tokens_R, rows_R))

    def _constrained(self, log_p_RV: torch.Tensor) -> torch.Tensor:
        constrained_RV = torch.full_like(log_p_RV, -torch.inf)
        for row, node in enumerate(self._nodes):
            allowed = list(node.children)
            constrained_RV[row, allowed] = log_p_RV[row, allowed]
        return constrained_RV


class ModelAdapter(Protocol):
    """Answers batches of examples."""

    def answer(self, mode: AnswerMode, encoded: Sequence[EncodedPrompt]) -> list[Completion]:
        """Return an answer to each example, in order."""


class KosmosAdapter:
    """Answers with a trained model, a batch at a time. Prompts are encoded once."""

    def __init__(self, saved: Saved) -> None:
        self._saved = saved
        self._trie = lru_cache(maxsize=4)(self._make_trie)

    def answer(self, mode: AnswerMode, encoded: Sequence[EncodedPrompt]) -> list[Completion]:
        """Answer a batch. Raises: IntegrityError when an image cannot be read."""
        if mode.method is AnswerMethod.MULTIPLE_CHOICE:
            return self._choose(encoded)
        return self._generate(mode, encoded)

    def _choose(self, encoded: Sequence[EncodedPrompt]) -> list[Completion]:
        encode = self._saved.tokenizer.encode
        prompts = [prompt for one in encoded for prompt in one.prompts]
        options = [
            [encode(option) for option in (one.example.options[:1] if one.example.candidates else one.example.options)]
            for one in encoded
            for _ in one.prompts
        ]
        longest = max(len(option) for of_prompt in options for option in of_prompt)
        scores = iter(GenerationEngine(self._saved, prompts, longest).score(options))
        answers = []
        for one in encoded:
            log_p = [score for _ in one.prompts for score in next(scores)]
            best = max(range(len(log_p)), key=log_p.__getitem__)
            answers.append(Completion(str(best) if one.example.candidates else one.example.options[best], tuple(log_p)))
        return answers

    def _generate(self, mode: AnswerMode, encoded: Sequence[EncodedPrompt]) -> list[Completion]:
        room = [one.max_tokens for one in encoded]
        model: NextToken = GenerationEngine(self._saved, [one.prompts[0] for one in encoded], max(room))
        if mode.method is AnswerMethod.CONSTRAINED:
            model = ConstrainedDecoding(model, [self._trie(one.example.options) for one in encoded])
        answers = search(model, mode.num_beams, room, EOS)
        return [Completion(first_line(self._saved.tokenizer.decode(tokens))) for tokens in answers]

    def _make_trie(self, options: tuple[str, ...]) -> Trie:
        return Trie.of((self._saved.tokenizer.encode(option).tolist() for option in options), EOS)


def first_line(text: str) -> str:
    """Return the answer in a generated text: its first line that is not blank."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
