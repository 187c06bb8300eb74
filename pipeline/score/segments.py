"""The texts to score images with, split into sentences that fit CLIP's context length."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from pipeline.io.imports import import_open_clip
from schemas.recipe import Clip
from schemas.tables import Batches, text_id

if TYPE_CHECKING:
    import torch

PIECES = pa.schema([pa.field("text_id", pa.string()), pa.field("id", pa.string()), pa.field("text", pa.string())])
"""A text's id, and the id and text of one piece of it: the text itself if it fits the context."""

# A sentence ends at a punctuation mark with closing quotes and brackets, before white space and not a lower-case letter
# ("e.g. this" continues); at a full-width mark; at a line's end. A wrong split ("Dr. Smith") costs little: the best
# piece counts, and one of the two still describes the image.
_END = re.compile(r"""(?<![.!?…])[.!?…]++["'”’»)\]]*+(?=\s+[^\sa-z])|[。！？]+[」』”’）]*|\n""")
_MAX_CHARACTERS_PER_TOKEN = (
    32  # no token is longer on average; a longer text is split before tokenizing, which would take too long
)


@dataclass(frozen=True)
class TextWindow:
    """The context of a model, by its tokenizer."""

    tokenizer: Any

    def is_empty(self, text: str) -> bool:
        """Return whether a text has the same tokens as an empty one."""
        return len(text) <= self._max_characters and bool((self._rows(text) == self._rows("")).all())

    def fits(self, text: str) -> bool:
        """Return whether a text fits: a context of one more token then only adds padding.

        This needs only the call of a tokenizer: open_clip's tokenizers differ in counting, end tokens and padding.
        """
        import torch

        if len(text) > self._max_characters:
            return False
        wide = self.tokenizer.context_length + 1
        padding = self._rows("", wide)[:, -1:]
        return torch.equal(self._rows(text, wide), torch.cat([self._rows(text), padding], 1))

    def pieces(self, text: str) -> list[str]:
        """Return the text if it fits, else its sentences; a sentence that does not fit is halved until it does."""
        text = text.strip()
        if self.is_empty(text):
            return []
        if len(text) < 2 or self.fits(text):
            return [text]
        parts = sentences(text)
        return [piece for part in (parts if len(parts) > 1 else _halves(text)) for piece in self.pieces(part)]

    @property
    def _max_characters(self) -> int:
        return _MAX_CHARACTERS_PER_TOKEN * int(self.tokenizer.context_length)

    def _rows(self, text: str, width: int | None = None) -> "torch.Tensor":
        rows: torch.Tensor = self.tokenizer([text], context_length=width)
        return rows


def sentences(text: str) -> list[str]:
    """Split a text into sentences; joined, they are the text except for white space."""
    ends = [0, *(match.end() for match in _END.finditer(text)), len(text)]
    parts = (text[start:end].strip() for start, end in pairwise(ends))
    return [part for part in parts if part]


def _halves(text: str) -> tuple[str, str]:
    """Split a text at the white space nearest its middle, or at its middle if it has none (Chinese, a URL)."""
    middle = len(text) // 2
    at = min((m.start() for m in re.finditer(r"\s", text)), key=lambda start: abs(start - middle), default=middle)
    return text[:at], text[at:]


def split_texts(config: Clip) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of (id, text) into batches of PIECES, each piece of a text once.

    A text without tokens has no pieces.
    """

    def run(batches: Batches) -> Batches:
        open_clip = import_open_clip()
        window: TextWindow | None = None
        for batch in batches:
            window = window or TextWindow(open_clip.get_tokenizer(config.model))
            rows = [
                {"text_id": row["id"], "id": text_id(piece), "text": piece}
                for row in batch.to_pylist()
                for piece in dict.fromkeys(window.pieces(row["text"]))
            ]
            yield pa.RecordBatch.from_pylist(rows, schema=PIECES)

    return run


WHOLE = -1  # the sentence index of a text that is not split into sentences
ALT_TEXT = -1  # the block of a caption pair
PAIRS = pa.schema([pa.field(name, pa.string()) for name in ("image_id", "text_id", "page_id", "text")])
"""An image and its caption on a page."""

TEXTS = pa.schema(
    [
        pa.field("page_id", pa.string()),
        pa.field("block", pa.int32()),
        pa.field("sentence", pa.int32()),
        pa.field("text_id", pa.string()),
        pa.field("text", pa.string()),
    ]
)
"""A text of a page, scored with every image of the page."""


def page_texts(unit: Literal["blocks", "sentences"]) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of `pages` into batches of TEXTS, with a row per block or sentence."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            rows = [
                {"page_id": page["page_id"], "block": b, "sentence": s, "text_id": text_id(text), "text": text}
                for page in batch.to_pylist()
                for b, block in enumerate(page["blocks"])
                if block["kind"] == "text"
                for s, text in (
                    enumerate(sentences(block["text"])) if unit == "sentences" else [(WHOLE, block["text"])]
                )
            ]
            yield pa.RecordBatch.from_pylist(rows, TEXTS)

    return run


def caption_pairs(batches: Batches) -> Batches:
    """Turn batches of `captions` into batches of PAIRS."""
    for batch in batches:
        columns = [batch["image_id"], pa.array([text_id(c) for c in batch["caption"].to_pylist()], pa.string())]
        yield pa.RecordBatch.from_arrays([*columns, batch["page_id"], batch["caption"]], schema=PAIRS)
