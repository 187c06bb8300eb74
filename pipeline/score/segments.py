"""Which texts an image is compared with, cut into sentences that fit the window of CLIP."""

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
"""A text's id, and the id and words of one piece of it: of itself, when it fits the window."""

# A sentence ends at its mark, quotes and brackets included, before white space and anything but a small letter ("e.g.
# this" goes on); at a full-width mark, where no space follows; at a line's end. A mistaken cut ("Dr. Smith") costs
# little: the best piece counts, and one of the two still says what the picture shows.
_END = re.compile(r"""(?<![.!?…])[.!?…]++["'”’»)\]]*+(?=\s+[^\sa-z])|[。！？]+[」』”’）]*|\n""")
_MAX_CHARACTERS_PER_TOKEN = (
    32  # no text says more with one token; longer ones are cut unread, a tokenizer takes too long
)


@dataclass(frozen=True)
class TextWindow:
    """What a model sees of a text, told by its own tokenizer."""

    tokenizer: Any

    def says_nothing(self, text: str) -> bool:
        """Say whether the model sees no more than of an empty text."""
        return len(text) <= self._most and bool((self._rows(text) == self._rows("")).all())

    def fits(self, text: str) -> bool:
        """Say whether the model sees the whole text: a window that is wider by a token then holds only padding more.

        That asks nothing of a tokenizer but its call: open_clip's count, mark ends and pad each in their own way.
        """
        import torch

        if len(text) > self._most:
            return False
        wide = self.tokenizer.context_length + 1
        padding = self._rows("", wide)[:, -1:]
        return torch.equal(self._rows(text, wide), torch.cat([self._rows(text), padding], 1))

    def pieces(self, text: str) -> list[str]:
        """Return the text if it fits, else its sentences; one that does not fit is halved until it does."""
        text = text.strip()
        if self.says_nothing(text):
            return []
        if len(text) < 2 or self.fits(text):
            return [text]
        parts = sentences(text)
        return [piece for part in (parts if len(parts) > 1 else _halves(text)) for piece in self.pieces(part)]

    @property
    def _most(self) -> int:
        return _MAX_CHARACTERS_PER_TOKEN * int(self.tokenizer.context_length)

    def _rows(self, text: str, width: int | None = None) -> "torch.Tensor":
        rows: torch.Tensor = self.tokenizer([text], context_length=width)
        return rows


def sentences(text: str) -> list[str]:
    """Cut a text after each sentence; together they are the text but for white space."""
    ends = [0, *(match.end() for match in _END.finditer(text)), len(text)]
    parts = (text[start:end].strip() for start, end in pairwise(ends))
    return [part for part in parts if part]


def _halves(text: str) -> tuple[str, str]:
    """Cut a text at the white space nearest its middle, or at its middle where it has none (Chinese, an address)."""
    middle = len(text) // 2
    cut = min((m.start() for m in re.finditer(r"\s", text)), key=lambda at: abs(at - middle), default=middle)
    return text[:cut], text[cut:]


def cut(config: Clip) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of (id, text) into batches of PIECES, each piece of a text once.

    A text that says nothing to the model has none.
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


WHOLE = -1  # the sentence of a text that is not cut into sentences
ALT_TEXT = -1  # the block of a caption pair
PAIRS = pa.schema([pa.field(name, pa.string()) for name in ("image_id", "text_id", "page_id", "text")])
"""An image, and the words that a page gives it."""

TEXTS = pa.schema(
    [
        pa.field("page_id", pa.string()),
        pa.field("block", pa.int32()),
        pa.field("sentence", pa.int32()),
        pa.field("text_id", pa.string()),
        pa.field("text", pa.string()),
    ]
)
"""A text of a page, with which every image of the page is compared."""


def page_texts(unit: Literal["blocks", "sentences"]) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of `pages` into batches of TEXTS: a row for each block or sentence."""

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
    """Pair every image with its words: batches of `captions` to batches of PAIRS."""
    for batch in batches:
        columns = [batch["image_id"], pa.array([text_id(c) for c in batch["caption"].to_pylist()], pa.string())]
        yield pa.RecordBatch.from_arrays([*columns, batch["page_id"], batch["caption"]], schema=PAIRS)
