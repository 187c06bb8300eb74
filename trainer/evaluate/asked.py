"""An example as a model reads it: tokens and images. And how that is shown to a person."""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

from schemas.errors import RecipeError
from trainer.evaluate.example import CONTEXT, Example, plain
from trainer.generate.prompt import Prompt, format_prompt
from trainer.tokenizer import END_IMAGE, IMAGE, Tokenizer

_SPARE_TOKENS = 8  # a text that was cut between two tokens may take a few more when it is encoded again


@dataclass(frozen=True)
class Reader:
    """What must be known of a model to make its prompts: so prompts can be shown without one."""

    tokenizer: Tokenizer
    num_slots: int
    """Embeddings of an image."""
    length: int
    """Tokens that the model reads at most, answer included."""


@dataclass(frozen=True)
class Asked:
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


def ask(reader: Reader, example: Example, max_tokens: int) -> Asked:
    """Make the prompts of an example, leaving room for an answer; a context is cut to what fits.

    An answer takes as many tokens as the longest option, or `max_tokens` where anything may be said.

    Raises: PathError when an image is gone; RecipeError when the model cannot read so much.
    """
    most = _longest(reader.tokenizer, example.options) + 1 if example.options else max_tokens
    room = reader.length - most
    try:
        words = _filled(reader, example, room) if CONTEXT in example.words else example.words
        prompts = [
            format_prompt(reader.tokenizer, words, [*example.images, *last], reader.num_slots, room)
            for last in ([[candidate] for candidate in example.candidates] or [[]])
        ]
    except RecipeError as error:
        raise RecipeError(f"{example.id}: {error}, beside {most} for the answer; give fewer --shots") from error
    return Asked(replace(example, words=words), tuple(prompts), most)


def _filled(reader: Reader, example: Example, room: int) -> str:
    """Return an example's words with as much of the context as fits into `room` tokens in its place."""
    without = example.words.replace(CONTEXT, " ")
    taken = len(format_prompt(reader.tokenizer, without, [*example.images], reader.num_slots, room).tokens_L)
    tokens = reader.tokenizer.encode(plain(example.context))[: max(0, room - taken - _SPARE_TOKENS)]
    return example.words.replace(CONTEXT, reader.tokenizer.decode(tokens))


@lru_cache(maxsize=16)
def _longest(tokenizer: Tokenizer, options: tuple[str, ...]) -> int:
    return max(len(tokenizer.encode(option)) for option in options)


def show(reader: Reader, prompt: Prompt) -> str:
    """Write down what a model really receives: words, special tokens, and slots with the image that fills them."""
    parts, images, words = [], iter(prompt.images), list[int]()
    for token, is_slot in zip(prompt.tokens_L.tolist(), prompt.slots_L.tolist(), strict=True):
        if is_slot:
            continue
        if token == IMAGE:
            parts += [reader.tokenizer.decode(words), f"<image>[{reader.num_slots} slots: {next(images).name}]"]
            words = []
        elif token == END_IMAGE:
            parts.append("</image>")
        else:
            words.append(token)
    return "<s>" + "".join([*parts, reader.tokenizer.decode(words)])
