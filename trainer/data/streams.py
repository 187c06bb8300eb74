"""Virtual streams: a fixed number of readers of each corpus, whatever the number of training processes.

Array letters: I images, H and W pixels, C channels, T positions.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from schemas.display import shorten
from schemas.errors import IntegrityError
from schemas.tables import digest
from trainer.config import TrainConfig
from trainer.data import packing
from trainer.data.corpus import READ_AHEAD, Sample
from trainer.data.packing import Document, PackedRow, end_of_segment
from trainer.data.shards import Instructions, Readable, Shards
from trainer.tokenizer import Tokenizer

BLOCK = 256  # samples that are shuffled together


class Order:
    """The sampling order of one epoch of a stream: a pure function of the samples `owned`, the seed and the epoch."""

    def __init__(self, owned: range, seed: str, epoch: int) -> None:
        self.epoch = epoch
        self._seed = int(digest(seed, str(epoch)), 16)
        num_blocks = -(-len(owned) // BLOCK)
        bounds = np.asarray([owned.start + len(owned) * i // num_blocks for i in range(num_blocks + 1)])
        permutation = np.random.default_rng(self._seed).permutation(num_blocks)
        self._firsts, self._ends = bounds[permutation], bounds[permutation + 1]
        self._passed = np.cumsum(self._ends - self._firsts)

    def block(self, position: int) -> tuple[int, npt.NDArray[np.int64]]:
        """Return the position at which the block of a position starts, and the block's samples in sampling order."""
        number = int(np.searchsorted(self._passed, position, side="right"))
        first, end = int(self._firsts[number]), int(self._ends[number])
        samples = np.random.default_rng((self._seed, number)).permutation(np.arange(first, end))
        return int(self._passed[number]) - (end - first), samples


MAX_PIXELS = 100_000_000  # checked in the header, before the image is decoded

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Framing:
    """Resize an image to a square of `side` pixels, by a centre crop or squashed, as the encoder was trained."""

    side: int
    squash: bool = False
    bicubic: bool = True

    def decode(self, data: bytes) -> Pixels:
        """Decode one JPEG to (side, side, 3).

        Raises: IntegrityError when the bytes are not a JPEG, are truncated, or have more than MAX_PIXELS.
        """
        try:
            return self.read(io.BytesIO(data), ("JPEG",))
        except IntegrityError:
            raise
        except Exception as error:
            raise IntegrityError(f"cannot be decoded: {shorten(error)}") from error

    def read(self, source: Path | BinaryIO, formats: tuple[str, ...] | None = None) -> Pixels:
        """Read an image of these formats, or any that Pillow supports, to (side, side, 3).

        To save time, a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, but not below the square's.

        Raises: IntegrityError when it has more than MAX_PIXELS; any exception when it cannot be decoded.
        """
        with Image.open(source, formats=formats) as image:
            if image.width * image.height > MAX_PIXELS:
                raise IntegrityError(f"{image.width} × {image.height} pixels are more than {MAX_PIXELS}")
            image.draft(None, (self.side, self.side))
            return np.asarray(self.frame(image if image.mode == "RGB" else image.convert("RGB")))

    def frame(self, image: Image.Image) -> Image.Image:
        """Resize and crop as torchvision's Resize and CenterCrop, without resizing what the crop removes."""
        resample = Image.Resampling.BICUBIC if self.bicubic else Image.Resampling.BILINEAR
        w, h, side = image.width, image.height, self.side
        if self.squash:
            return image.resize((side, side), resample)
        width, height = (side, int(side * h / w)) if w <= h else (int(side * w / h), side)
        left, top = round((width - side) / 2), round((height - side) / 2)
        across, down = w / width, h / height
        box = (left * across, top * down, min(w, (left + side) * across), min(h, (top + side) * down))
        return image.resize((side, side), resample, box=box)


Format = Callable[[Readable, Sample, bytes | None], Document]
Skipped = tuple[str, str]  # what could not be read, and why


@dataclass(frozen=True)
class Cursor:
    """The state of a stream: the next token of the document at a position of an epoch's sampling order."""

    epoch: int = 0
    position: int = 0
    token: int = 0


@dataclass
class _Block:
    """The block of neighbouring samples that a stream reads."""

    first: int  # position of the first
    numbers: npt.NDArray[np.int64]  # in sampling order
    samples: list[Sample | None]
    bodies: dict[int, bytes | None]  # of samples read ahead, by position


class Stream:
    """One reader of one corpus."""

    def __init__(self, corpus: Readable, owned: range, seed: str, to_document: Format, once: bool = False) -> None:
        self._num_epochs = 1 if once else None
        self._corpus, self._owned, self._seed, self._to_document = corpus, owned, seed, to_document
        self.cursor = Cursor()
        self._order: Order | None = None
        self._block: _Block | None = None
        self._current: tuple[Cursor, Sample, Document] | None = None  # a document, and the cursor at its first token

    def row(self, length: int) -> tuple[PackedRow, list[Skipped]]:
        """Fill a row until the next sentence does not fit; an empty row means that no sample can be read.

        Also return the damaged samples that were skipped, but not the missing ones.
        """
        row, skipped = PackedRow.empty(length), list[Skipped]()
        while row.room and (found := self._document(skipped)):
            sample, document = found
            start = self.cursor.token
            if start >= len(document.tokens_L):  # only by a damaged checkpoint
                self._next()
                continue
            end = end_of_segment(document, start, row)
            if end == start:
                break
            row.add(document, start, end, sample)
            if end == len(document.tokens_L):
                self._next()
            else:
                self.cursor = replace(self.cursor, token=end)
        return row, skipped

    def _document(self, skipped: list[Skipped]) -> tuple[Sample, Document] | None:
        """Return the next sample that can be read, and move the cursor to it; None when there is none."""
        if self._current is not None and self._current[0] == replace(self.cursor, token=0):
            return self._current[1:]
        self._current = None
        for _ in range(len(self._owned) + 1):
            if self.cursor.epoch == self._num_epochs:
                return None
            if (found := self._read(self.cursor.position)) is not None:
                sample, body = found
                try:
                    document = self._to_document(self._corpus, sample, body)
                except IntegrityError as error:
                    skipped.append((sample.key, str(error)))
                else:
                    self._current = (replace(self.cursor, token=0), sample, document)
                    return sample, document
            self._next()
        return None

    def _read(self, position: int) -> tuple[Sample, bytes | None] | None:
        """Return the sample at a position of the epoch and its body; None when the sample is lost."""
        if self._order is None or self._order.epoch != self.cursor.epoch:
            self._order, self._block = Order(self._owned, self._seed, self.cursor.epoch), None
        if self._block is None or not 0 <= position - self._block.first < len(self._block.numbers):
            first, numbers = self._order.block(position)
            low = int(numbers.min())
            samples = self._corpus.samples(low, int(numbers.max()) + 1)
            self._block = _Block(first, numbers, [samples[n - low] for n in numbers], {})
        block, index = self._block, position - self._block.first
        sample = block.samples[index]
        if sample is None:
            return None
        if position not in block.bodies:
            window = enumerate(block.samples[index : index + READ_AHEAD], start=position)
            batch = {at: s for at, s in window if s is not None}
            block.bodies = dict(zip(batch, self._corpus.bodies(list(batch.values())), strict=True))
        return sample, block.bodies[position]

    def _next(self) -> None:
        epoch, position = self.cursor.epoch, self.cursor.position + 1
        self.cursor = Cursor(epoch, position) if position < len(self._owned) else Cursor(epoch + 1)


def streams(corpus: Readable, num_streams: int, seed: int, to_document: Format, once: bool = False) -> list[Stream]:
    """Divide a corpus evenly among streams, each with at least one sample."""
    n = min(num_streams, len(corpus))
    bounds = [len(corpus) * i // n for i in range(n + 1)]
    return [
        Stream(corpus, range(bounds[i], bounds[i + 1]), digest(str(seed), corpus.name, str(i)), to_document, once)
        for i in range(n)
    ]


@dataclass(frozen=True)
class SampledRow:
    """One sampled row."""

    num_tokens: int
    """0: no sample of the stream can be read."""
    num_images: int
    num_segments: int
    """Documents, or parts of documents, in the row."""
    digest: bytes
    """SHA-256 of the row before images are decoded, equal in all processes."""
    cursor: Cursor
    """The state of the stream after it."""
    columns_4T: npt.NDArray[np.int32] | None
    """Tokens, image mask, segment ids and targets; None for an empty row and for a row of another process."""
    pixels_IHWC: Pixels | None
    skipped: list[Skipped]
    """Samples and images that could not be read; empty for a row of another process."""


class RowSource:
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
        """Open the streams; with `once` one stream for each corpus, which ends after one epoch."""
        self.rank, self.world = rank, world
        self._tokenizer, self._config, self._framing = tokenizer, config, framing
        self._corpora = {name: corpus for name, corpus in shards.readable.items() if len(corpus)}
        self._streams: dict[str, list[Stream]] = {
            name: streams(corpus, 1 if once else config.data.streams, config.seed, self._format, once)
            for name, corpus in self._corpora.items()
        }

    def num_streams(self, corpus: str) -> int:
        return len(self._streams[corpus])

    def seek(self, corpus: str, cursors: list[Cursor]) -> None:
        """Set the cursor of every stream of a corpus."""
        for stream, cursor in zip(self._streams[corpus], cursors, strict=True):
            stream.cursor = cursor

    def take(self, corpus: str, index: int) -> SampledRow:
        """Return the row of a corpus at an index; streams take turns. The rows of a stream must be taken in order.

        Raises: PathError, TransientError, IntegrityError as `Corpus.read` and `Corpus.samples` do.
        """
        stream = self._streams[corpus][index % self.num_streams(corpus)]
        row, skipped = stream.row(self._config.data.sequence_length)
        num_segments = int(row.segment_ids_T.max(initial=0))
        common = (row.num_tokens, len(row.images), num_segments, _digest(row), stream.cursor)
        if index % self.world != self.rank:
            return SampledRow(*common, None, None, [])
        if not row.num_tokens:
            return SampledRow(*common, None, None, skipped)
        pixels = self._pixels(self._corpora[corpus], row, skipped)
        return SampledRow(*common, row.columns(), pixels, skipped)

    def _format(self, corpus: Readable, sample: Sample, body: bytes | None) -> packing.Document:
        num_image_tokens, length = self._config.vision.latents, self._config.data.sequence_length
        if isinstance(corpus, Instructions):
            return _instruct(self._tokenizer, corpus, sample, body, length)
        if corpus.name == "text":
            return packing.text(self._tokenizer, corpus.text(sample, body))
        if corpus.name == "caption":
            return packing.caption(self._tokenizer, corpus.text(sample, body), "jpg", num_image_tokens, length)
        return packing.interleaved(self._tokenizer, corpus.blocks(sample, body), num_image_tokens)

    def _pixels(self, corpus: Readable, row: PackedRow, skipped: list[Skipped]) -> Pixels:
        """Decode a row's images. A damaged one becomes black, and its segment is masked out of the loss."""
        side = self._framing.side
        pixels = np.zeros((len(row.images), side, side, 3), np.uint8)
        bodies = corpus.read([(image.sample, image.member) for image in row.images])
        for number, (image, data) in enumerate(zip(row.images, bodies, strict=True)):
            try:
                if data is None:
                    raise IntegrityError("is missing or too large")
                pixels[number] = self._framing.decode(data)
            except IntegrityError as error:
                key = f"{image.sample.key}.{image.member}"
                skipped.append((key, f"{key} of {image.sample.tar}: {error}"))
                row.ignore_segment(image.segment)
        return pixels


def _instruct(
    tokenizer: Tokenizer, corpus: Instructions, sample: Sample, body: bytes | None, length: int
) -> packing.Document:
    example = corpus.example(sample, body)
    try:
        return packing.instruct(tokenizer, example.prompt, example.output, length)
    except IntegrityError as error:
        raise IntegrityError(f"{sample.key} {error}") from error


def _digest(row: PackedRow) -> bytes:
    h = hashlib.sha256()
    for array in (row.tokens_T, row.image_mask_T, row.segment_ids_T, row.targets_T):
        h.update(array.tobytes())
    h.update(repr([(i.sample.key, i.member, i.segment) for i in row.images]).encode())
    return h.digest()
