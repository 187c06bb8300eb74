"""Decode images in a child process, whose death costs only one image."""

from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

import imagehash
from PIL import Image

from pipeline.images.decode import decode, refusal
from pipeline.sandbox import WALL_FACTOR, Sandbox, WorkerLost
from schemas.recipe import Decode

MAX_IMAGES = 16  # per call
_PATIENCE_SECONDS = 60  # to fork and end children on a busy machine


class DecodeWorker:
    """Calls `decode` within config.max_seconds and config.max_memory_bytes: `with DecodeWorker(config) as worker`.

    Enter it before the process starts threads: forking a process with threads is unsafe, since a lock that one of them
    holds stays locked in the child. Therefore the decoding child is a child of a supervisor process, forked on entry,
    which replaces it after its death. Only one thread may call it at a time.
    """

    def __init__(self, config: Decode) -> None:
        # the inner sandbox's limits must apply first: it retries when memory runs out, and then image by image
        patience = 2 * (1 + MAX_IMAGES) * WALL_FACTOR * config.max_seconds + _PATIENCE_SECONDS
        self._supervisor = Sandbox(_DecodeSandbox(config), None, None, max_wall_seconds=patience)

    def __call__(self, data: bytes) -> dict[str, Any]:
        """Return the columns of `images` from `status` to `bytes`, for any input.

        Raises: ChildProcessError outside its context, or when the supervisor process has died.
        """
        return self.decode([data])[0]

    def decode(self, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
        """Return the same for each of up to MAX_IMAGES images, faster than in single calls."""
        result: list[dict[str, Any]] | WorkerLost = WorkerLost("failure", "not entered, or already closed")
        if self._supervisor.pid:
            result = self._supervisor(*bodies)
        if isinstance(result, WorkerLost):
            raise ChildProcessError(f"the supervisor of the decode worker is lost: {result.detail}")
        return result

    def __enter__(self) -> Self:
        imagehash.phash(Image.new("L", (1, 1)))  # imports modules that every child would import again
        self._supervisor.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.close(kill=False)  # it ends when the socket closes, and then its own child


class _DecodeSandbox(Sandbox):
    """A sandbox for `decode` that returns a row for an image whose decoding was lost."""

    def __init__(self, config: Decode) -> None:
        super().__init__(partial(_decode_each, config), config.max_seconds, config.max_memory_bytes, quiet=True)

    def __call__(self, *bodies: Any) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] | WorkerLost = super().__call__(*bodies)
        if not isinstance(result, WorkerLost):
            return result
        if len(bodies) > 1:  # retry one by one to find the image that caused it
            return [row for body in bodies for row in self(body)]
        error = "needed more than decode.max_memory_bytes" if result.cause == "memory" else result.detail
        return [refusal(bodies[0], "stalled" if result.cause == "wall" else "undecodable", error)]


def _decode_each(config: Decode, *bodies: bytes) -> list[dict[str, Any]]:
    return [decode(body, config) for body in bodies]
