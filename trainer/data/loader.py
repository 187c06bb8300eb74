"""The loader: an endless iterator over steps, prefetched outside the training process."""

import math
import sys
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from open_clip.transform import PreprocessCfg

from schemas.display import message
from schemas.errors import IntegrityError, RecipeError
from trainer.config import Data, TrainConfig
from trainer.data.batches import ROWS, Batches, Steps, StreamState, TrainStep
from trainer.data.shards import Shards
from trainer.data.streams import Cursor, RowSource
from trainer.data.workers import Workers
from trainer.tokenizer import Tokenizer

T = TypeVar("T")


class Closable(Protocol):
    def close(self) -> None:
        """End the work. A thread that waits for it gets an error."""

    def disconnect(self) -> None:
        """Release the other resources, once no thread waits."""


class Prefetcher(Generic[T]):
    """Iterate over `source`, with up to `max_items` prefetched by a thread; 0: no prefetching and no thread.

    An error of the source is raised in its order. `close` first ends what the source waits for, then the thread.
    """

    def __init__(self, source: Iterator[T], waits_for: Closable | None, max_items: int) -> None:
        self._source, self._waits_for, self._max_items = source, waits_for, max_items
        self._ready: deque[T | BaseException] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._prefetch, name="loader", daemon=True) if max_items else None
        if self._thread is not None:
            self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._thread is None:
            return next(self._source)
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._closed)
            if self._closed:
                raise RuntimeError("closed")
            item = self._ready[0]
            if isinstance(item, BaseException):
                raise item
            self._ready.popleft()
            self._changed.notify_all()
        return item

    def close(self) -> None:
        """End the thread and what it waits for. A second call does nothing."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        if self._waits_for is not None:
            self._waits_for.close()
        if self._thread is not None:
            self._thread.join()
        if self._waits_for is not None:
            self._waits_for.disconnect()

    def _prefetch(self) -> None:
        while True:
            try:
                item: T | BaseException = next(self._source)
            except BaseException as error:  # any exception is passed to the reader
                item = error
            with self._changed:
                self._changed.wait_for(lambda: len(self._ready) < self._max_items or self._closed)
                if self._closed:
                    return
                self._ready.append(item)
                self._changed.notify_all()
            if isinstance(item, BaseException):
                return


TOKENS_OF_A_SAMPLE = 128  # estimate for a caption with its image, or an instruction
STATE_VERSION = 2  # 2: samples of an epoch are shuffled by blocks
_START_AGAIN = "--overwrite removes the checkpoints and starts again"


@dataclass
class SkipLog:
    """Samples and images that could not be read, by name. Each is printed once, on standard error."""

    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, reason: str) -> None:
        if name not in self.reasons:
            self.reasons[name] = reason
            print(f"skipped: {message(reason)}", file=sys.stderr)


class Loader:
    """Iterate over the steps of one of `world` processes; `with Loader(...)` ends its workers, as `close` does.

    Every process samples and tokenises every row, and decodes images only for its own rows.
    """

    def __init__(
        self,
        shards: Shards,
        tokenizer: Tokenizer,
        config: TrainConfig,
        preprocess: PreprocessCfg,
        rank: int,
        world: int,
    ) -> None:
        data = config.data
        shares, present = present_shares(shards, data)
        self.left_out = sorted(shares.keys() - present.keys())
        self.shares = {c: s / sum(present.values()) for c, s in present.items()}
        num_tokens = data.tokens_per_step
        self.quotas = present if num_tokens is None else {c: num_tokens * share for c, share in self.shares.items()}
        self.skipped = SkipLog()
        self._identity = _identity(shards, tokenizer)
        self._batches = Batches(preprocess, data.sequence_length, data.rows_per_micro_step, rank, world)
        self._source = RowSource(shards, tokenizer, config, self._batches.framing, rank, world)
        self._config = config
        self._step = 0
        self._states = {c: StreamState([Cursor()] * self._source.num_streams(c)) for c in present}
        self._prefetcher: Prefetcher[tuple[TrainStep, int, dict[str, StreamState]]] | None = None

    def __iter__(self) -> Iterator[TrainStep]:
        return self

    def __next__(self) -> TrainStep:
        if self._prefetcher is None:
            self._prefetcher = self._start()
        step, self._step, self._states = next(self._prefetcher)
        for name, reason in step.skipped:
            self.skipped.add(name, reason)
        return step

    def state(self) -> dict[str, Any]:
        """Return the state after the last step returned, as plain JSON values, equal in all processes."""
        return {**self._identity, "step": self._step, "corpora": {c: _json(state) for c, state in self._states.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint, with any number of processes and workers.

        Raises: RecipeError when it was made from other shards, with another tokenizer or by another version;
            IntegrityError when it is damaged.
        """
        _check_identity(state, self._identity)
        try:
            step = int(state["step"])
            states = {
                c: StreamState(
                    [Cursor(**cursor) for cursor in p["streams"]],
                    p["num_turns"],
                    p.get("num_given", p.get("num_tokens")),
                )
                for c, p in state["corpora"].items()
            }
            counts = [step, *(n for s in states.values() for n in (s.num_rows, s.num_sampled))]
            counts += [n for s in states.values() for cursor in s.cursors for n in asdict(cursor).values()]
            num_streams, expected = ({c: len(s.cursors) for c, s in of.items()} for of in (states, self._states))
            is_valid = num_streams == expected and all(type(n) is int and n >= 0 for n in counts)
        except (KeyError, TypeError, ValueError, AttributeError):
            is_valid = False
        if not is_valid:
            raise IntegrityError(f"the checkpoint has no valid loader state; {_START_AGAIN}")
        self.close()
        self._step, self._states = step, states

    def close(self) -> None:
        """End the workers; the next step starts them again, after the last step returned."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _amount_per_row(self, corpus: str) -> float:
        """Estimate the tokens, or sequences, of a row."""
        data = self._config.data
        if data.tokens_per_step is not None:
            return data.sequence_length
        return 1 if corpus in ROWS else max(1, data.sequence_length / TOKENS_OF_A_SAMPLE)

    def _start(self) -> Prefetcher[tuple[TrainStep, int, dict[str, StreamState]]]:
        data = self._config.data
        for corpus, state in self._states.items():
            self._source.seek(corpus, state.cursors)
        quotas, by_sequences = self.quotas, data.tokens_per_step is None
        if not data.workers:
            return Prefetcher(
                Steps(self._source, self._batches, quotas, self._step, self._states, by_sequences), None, 0
            )
        # rows that workers prefetch in addition to the prefetched steps: about those of one step
        prefetch = {c: math.ceil(n / self._amount_per_row(c)) + data.workers for c, n in quotas.items()}
        first = {c: state.num_rows for c, state in self._states.items()}
        workers = Workers(self._source, data.workers, first, prefetch)
        steps = Steps(workers, self._batches, quotas, self._step, self._states, by_sequences)
        prefetcher = Prefetcher(steps, workers, data.prefetch_steps)
        weakref.finalize(self, prefetcher.close)  # also when the interpreter ends
        return prefetcher


def present_shares(shards: Shards, data: Data) -> tuple[dict[str, float], dict[str, float]]:
    """Return the share of each corpus in a configuration, and the shares of the corpora that the shards hold.

    Raises: RecipeError when they hold none of them.
    """
    mixed = data.mixture if data.sequences is None else data.sequences
    shares: dict[str, float] = {c: s for c, s in mixed.model_dump().items() if s > 0}
    present = {c: s for c, s in shares.items() if len(shards.readable[c])}
    if not present:
        raise RecipeError(f"there is no sample of: {', '.join(shares)}; see data.mixture and data.sequences")
    return shares, present


def check_state(state: dict[str, Any], shards: Shards, tokenizer: Tokenizer) -> None:
    """Raise RecipeError when a state was made from other shards, with another tokenizer or by another version."""
    _check_identity(state, _identity(shards, tokenizer))


def _identity(shards: Shards, tokenizer: Tokenizer) -> dict[str, Any]:
    return {"version": STATE_VERSION, "shards": shards.fingerprint, "tokenizer": tokenizer.sha256}


def _check_identity(state: dict[str, Any], identity: dict[str, Any]) -> None:
    for name, value in identity.items():
        if state.get(name) != value:
            raise RecipeError(f"the checkpoint was made with another {name}; {_START_AGAIN}")


def _json(state: StreamState) -> dict[str, Any]:
    streams = [asdict(cursor) for cursor in state.cursors]
    return {"num_turns": state.num_rows, "num_given": state.num_sampled, "streams": streams}
