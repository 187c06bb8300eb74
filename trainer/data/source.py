"""Where rows come from: every stream of every corpus. A copy of it in a worker process draws the same rows.

Turn k of a corpus is drawn from its stream k modulo their number, for process k modulo theirs. So who draws a turn
knows at once whose images it decodes, and no row depends on any other stream.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.errors import IntegrityError
from trainer import formats
from trainer.config import TrainConfig
from trainer.data.corpus import Sample
from trainer.data.images import Framing, Pixels
from trainer.data.instructions import Instructions
from trainer.data.packing import Row
from trainer.data.shards import Readable, Shards
from trainer.data.streams import Cursor, Skipped, Stream, streams
from trainer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Drawn:
    """What a turn gave. Letters: I images, H and W pixels, C channels, T positions."""

    num_tokens: int
    """0: nothing in the stream can be read."""
    num_images: int
    num_stretches: int
    """Documents of the row, whole or in part."""
    digest: bytes
    """SHA-256 of the row before any image is decoded, the same on every process."""
    cursor: Cursor
    """Where the stream stands after it."""
    columns_4T: npt.NDArray[np.int32] | None
    """Tokens, slots, stretches and targets; None where the row is another process's, or empty."""
    pixels_IHWC: Pixels | None
    skipped: list[Skipped]
    """Samples and images that could not be read; each is told to the process whose row it was to stand in."""


class Source:
    """All streams, for one of `world` processes."""

    def __init__(
        self,
        shards: Shards,
        tokenizer: Tokenizer,
        config: TrainConfig,
        framing: Framing,
        rank: int,
        world: int,
        once: bool = False,
    ) -> None:
        """Open the streams; with `once` a single one for each corpus, which ends with its first epoch."""
        self.rank, self.world = rank, world
        self._tokenizer, self._config, self._framing = tokenizer, config, framing
        self._corpora = {name: corpus for name, corpus in shards.readable.items() if len(corpus)}
        self._streams: dict[str, list[Stream]] = {
            name: streams(corpus, 1 if once else config.data.streams, config.seed, self._format, once)
            for name, corpus in self._corpora.items()
        }

    def num_streams(self, corpus: str) -> int:
        return len(self._streams[corpus])

    def stand(self, corpus: str, cursors: list[Cursor]) -> None:
        """Set every stream of a corpus to where it stood."""
        for stream, cursor in zip(self._streams[corpus], cursors, strict=True):
            stream.cursor = cursor

    def take(self, corpus: str, turn: int) -> Drawn:
        """Draw a row. The turns of a stream must be drawn one after the other.

        Raises: PathError, TransientError, IntegrityError as `Corpus.read` and `Corpus.samples` do.
        """
        stream = self._streams[corpus][turn % self.num_streams(corpus)]
        row, skipped = stream.row(self._config.data.sequence_length)
        num_stretches = int(row.stretches_T.max(initial=0))
        known = (row.num_tokens, len(row.images), num_stretches, _digest(row), stream.cursor)
        if turn % self.world != self.rank:
            return Drawn(*known, None, None, [])
        if not row.num_tokens:
            return Drawn(*known, None, None, skipped)
        pixels = self._pixels(self._corpora[corpus], row, skipped)
        return Drawn(*known, row.columns(), pixels, skipped)

    def _format(self, corpus: Readable, sample: Sample, body: bytes | None) -> formats.Document:
        slots, length = self._config.vision.latents, self._config.data.sequence_length
        if isinstance(corpus, Instructions):
            return _instruct(self._tokenizer, corpus, sample, body, length)
        if corpus.name == "text":
            return formats.text(self._tokenizer, corpus.text(sample, body))
        if corpus.name == "caption":
            return formats.caption(self._tokenizer, corpus.text(sample, body), "jpg", slots, length)
        return formats.interleaved(self._tokenizer, corpus.blocks(sample, body), slots)

    def _pixels(self, corpus: Readable, row: Row, skipped: list[Skipped]) -> Pixels:
        """Decode a row's images. One that is broken becomes black, and nothing is predicted in its stretch."""
        side = self._framing.side
        pixels = np.zeros((len(row.images), side, side, 3), np.uint8)
        bodies = corpus.read([(image.sample, image.member) for image in row.images])
        for number, (image, data) in enumerate(zip(row.images, bodies, strict=True)):
            try:
                if data is None:
                    raise IntegrityError("is missing, or too large")
                pixels[number] = self._framing.decode(data)
            except IntegrityError as error:
                key = f"{image.sample.key}.{image.member}"
                skipped.append((key, f"{key} of {image.sample.tar}: {error}"))
                row.silence(image.stretch)
        return pixels


def _instruct(
    tokenizer: Tokenizer, corpus: Instructions, sample: Sample, body: bytes | None, length: int
) -> formats.Document:
    example = corpus.example(sample, body)
    try:
        return formats.instruct(tokenizer, example.asked, example.output, length)
    except IntegrityError as error:
        raise IntegrityError(f"{sample.key} {error}") from error


def _digest(row: Row) -> bytes:
    h = hashlib.sha256()
    for array in (row.tokens_T, row.slots_T, row.stretches_T, row.targets_T):
        h.update(array.tobytes())
    h.update(repr([(i.sample.key, i.member, i.stretch) for i in row.images]).encode())
    return h.digest()
