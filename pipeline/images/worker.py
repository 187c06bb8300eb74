"""Decode in a child process, whose death costs one image."""

from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

import imagehash
from PIL import Image

from pipeline.images.decode import decode, refusal
from pipeline.sandbox import WALL_FACTOR, Sandbox, WorkerLost
from schemas.recipe import Decode

MAX_IMAGES = 16  # of one call
_PATIENCE_SECONDS = 60  # for what forks and ends children on a busy machine


class DecodeWorker:
    """Calls `decode` within config.max_seconds and config.max_memory_bytes: `with Decoder(config) as decoder`.

    Enter it before the process starts threads: a process that has threads cannot be forked safely, for a lock that
    one of them holds stays locked in the child for ever. So when the child that decodes has died, it isn't replaced
    from here: one child, forked on entering, does nothing but guard another, in which images are decoded. At most
    one thread may call it at a time.
    """

    def __init__(self, config: Decode) -> None:
        # the inner guard's limits must be met first: it tries twice when memory runs out, and then image by image
        patience = 2 * (1 + MAX_IMAGES) * WALL_FACTOR * config.max_seconds + _PATIENCE_SECONDS
        self._guarding = Sandbox(_Decoding(config), None, None, max_wall_seconds=patience)

    def __call__(self, data: bytes) -> dict[str, Any]:
        """Return the columns of `images` from `status` to `bytes`, whatever the bytes are.

        Raises: ChildProcessError outside its context, or when somebody has ended the child that only guards.
        """
        return self.decode([data])[0]

    def decode(self, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
        """Return the same for each of up to MAX_IMAGES images, at less than the cost of as many calls."""
        found: list[dict[str, Any]] | WorkerLost = WorkerLost("failure", "not entered, or ended before")
        if self._guarding.pid:
            found = self._guarding(*bodies)
        if isinstance(found, WorkerLost):
            raise ChildProcessError(f"the process that guards decoding is lost: {found.detail}")
        return found

    def __enter__(self) -> Self:
        imagehash.phash(Image.new("L", (1, 1)))  # imports what every child would else import anew
        self._guarding.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._guarding.close(kill=False)  # it ends at the closed socket, and its own child with it


class _Decoding(Sandbox):
    """Guards `decode`, and tells of an image that was lost in the same form as of any other."""

    def __init__(self, config: Decode) -> None:
        super().__init__(partial(_decode_each, config), config.max_seconds, config.max_memory_bytes, quiet=True)

    def __call__(self, *bodies: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] | WorkerLost = super().__call__(*bodies)
        if not isinstance(found, WorkerLost):
            return found
        if len(bodies) > 1:  # one of them did it, and the others shall not pay for it
            return [row for body in bodies for row in self(body)]
        error = "needed more than decode.max_memory_bytes" if found.cause == "memory" else found.detail
        return [refusal(bodies[0], "stalled" if found.cause == "wall" else "undecodable", error)]


def _decode_each(config: Decode, *bodies: bytes) -> list[dict[str, Any]]:
    return [decode(body, config) for body in bodies]
