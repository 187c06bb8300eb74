"""Answers on their way from img2dataset to the journal: bodies are decoded in batches, beside the downloads."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pipeline.decoder import MAX_IMAGES, Decoder
from pipeline.fetch.journal import Journal
from pipeline.fetch.opener import Answer
from schemas.tables import IMAGES

BATCH_BYTES = 1 << 20
_EMPTY: dict[str, Any] = dict.fromkeys(c.name for c in IMAGES.columns)


class Results:
    """Collects answers; `close` ends it. While one batch is decoded the next is filled, so two lie in memory."""

    def __init__(self, decoder: Decoder, journal: Journal, release: Callable[[Answer], None]) -> None:
        """Args: release is told of each answer whose body is not needed any more."""
        self.decoder, self.journal, self.release = decoder, journal, release
        self.batch: list[tuple[Answer, bytes]] = []
        self.num_bytes = 0
        self.thread = ThreadPoolExecutor(1)
        self.under_way: tuple[list[tuple[Answer, bytes]], Future[list[dict[str, Any]]]] | None = None

    def add(self, answer: Answer, body: bytes | None) -> None:
        """Take an answer, with the body of an image."""
        if body is None:
            self.journal.add(_row(answer, {}))
            return
        self.batch.append((answer, body))
        self.num_bytes += len(body)
        if len(self.batch) >= MAX_IMAGES or self.num_bytes >= BATCH_BYTES:
            self._decode()

    def close(self) -> None:
        """Decode what is left, and commit."""
        self._decode()
        self._finish()
        self.thread.shutdown()
        self.journal.commit()

    def _decode(self) -> None:
        self._finish()
        if self.batch:
            bodies = [body for _, body in self.batch]
            self.under_way = self.batch, self.thread.submit(self.decoder.decode, bodies)
            self.batch, self.num_bytes = [], 0

    def _finish(self) -> None:
        if self.under_way:
            batch, decoded = self.under_way
            self.under_way = None
            try:
                for (answer, body), row in zip(batch, decoded.result(), strict=True):
                    self.journal.add(_row(answer, {**row, "original_bytes": len(body)}))
            finally:
                for answer, _ in batch:
                    self.release(answer)


def _row(answer: Answer, decoded: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `images`, with the journal's own columns."""
    address = answer.address
    return {
        **_EMPTY,
        "image_id": address.image_id,
        "image_url": address.image_url,
        "status": answer.status,
        "error": answer.error,
        **decoded,
        "location": answer.location,
        "num_redirects": address.num_redirects,
        "part": None,
    }
