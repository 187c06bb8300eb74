"""A prompt: words, and images that stand where `<image>` says, formatted as the decoder learnt them.

<s> <image> E </image> words      what a caption or a document begins with (trainer/formats.py)
"""

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from schemas.errors import PathError, RecipeError
from schemas.shards import Block
from trainer import formats
from trainer.formats import Mask, Tokens
from trainer.tokenizer import Tokenizer

PLACEHOLDER = "<image>"
_EMPTY = Block(kind="", text="", image="", image_id="", image_url="", alt="", caption="", score=0.0)


@dataclass(frozen=True)
class Prompt:
    """A prompt as it is read; L tokens."""

    tokens_L: Tokens
    slots_L: Mask
    images: tuple[Path, ...]


def format_prompt(tokenizer: Tokenizer, words: str, images: list[Path], num_slots: int, max_tokens: int) -> Prompt:
    """Put images where `<image>` stands in the words, in order; if it stands nowhere, before them.

    Raises: RecipeError when the words are not UTF-8, when there are more placeholders than images or the other way
        round, or when the prompt leaves the model no room for a token; PathError when an image does not exist.
    """
    try:
        words.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(f"the prompt is not UTF-8 (character {error.start})") from error
    for image in images:
        if not image.is_file():
            raise PathError(f"no image {image}")
    parts = words.split(PLACEHOLDER) if PLACEHOLDER in words else [""] * len(images) + [words]
    if len(parts) - 1 != len(images):
        raise RecipeError(f"the prompt has {len(parts) - 1} {PLACEHOLDER} for {len(images)} images")
    blocks: list[Block] = []
    for text, image in zip_longest(parts, images):
        if text.strip():
            blocks.append({**_EMPTY, "kind": "text", "text": text.strip()})
        if image is not None:
            blocks.append({**_EMPTY, "kind": "image", "image": str(image)})
    document = formats.interleaved(tokenizer, blocks, num_slots)
    length = len(document.tokens_L) - 1  # all but </s>, which is the model's to say
    if length >= max_tokens:
        raise RecipeError(f"the prompt takes {length} tokens, images included; the model reads {max_tokens} at most")
    return Prompt(document.tokens_L[:length], np.asarray(document.slots_L[:length]), tuple(images))
