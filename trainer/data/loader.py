"""The loader: an endless iterator over steps, prefetched off the process that trains."""

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
        """Make whoever waits for this give up."""

    def disconnect(self) -> None:
        """Let go of the rest, when nobody waits any more."""


class Prefetcher(Generic[T]):
    """Iterate over `source`, of which up to `most` items are made ahead; none, and no thread, if `most` is 0.

    An error in the making is raised when its turn comes. `close` ends what the source waits for, and then the thread.
    """

    def __init__(self, source: Iterator[T], waits_for: Closable | None, most: int) -> None:
        self._source, self._waits_for, self._most = source, waits_for, most
        self._made: deque[T | BaseException] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._make, name="loader", daemon=True) if most else None
        if self._thread is not None:
            self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._thread is None:
            return next(self._source)
        with self._changed:
            self._changed.wait_for(lambda: self._made or self._closed)
            if self._closed:
                raise RuntimeError("closed")
            item = self._made[0]
            if isinstance(item, BaseException):
                raise item
            self._made.popleft()
            self._changed.notify_all()
        return item

    def close(self) -> None:
        """End the thread and what it waits for; doing so twice is no error."""
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

    def _make(self) -> None:
        while True:
            try:
                item: T | BaseException = next(self._source)
            except BaseException as error:  # it is the reader's, whatever it is
                item = error
            with self._changed:
                self._changed.wait_for(lambda: len(self._made) < self._most or self._closed)
                if self._closed:
                    return
                self._made.append(item)
                self._changed.notify_all()
            if isinstance(item, BaseException):
                return


TOKENS_OF_A_SAMPLE = 128  # of a caption with its image, or an instruction, as a guess
STATE_VERSION = 2  # 2: the order of samples in an epoch goes by blocks


@dataclass
class Told:
    """What could not be read so far, each named once: on standard error and here, name to reason."""

    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, reason: str) -> None:
        if name not in self.reasons:
            self.reasons[name] = reason
            print(f"skipped: {message(reason)}", file=sys.stderr)


class Loader:
    """Iterate for the steps of one of `world` processes; `with Loader(...)` ends its workers, as `close` does.

    Every process draws every row, which costs it the tokenisation, and decodes the images of its own rows alone.
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
        self.wanted = present if data.tokens_per_step is None else self._tokens(data.tokens_per_step)
        self.skipped = Told()
        self._known = _known(shards, tokenizer)
        self._batches = Batches(preprocess, data.sequence_length, data.rows_per_micro_step, rank, world)
        self._source = RowSource(shards, tokenizer, config, self._batches.framing, rank, world)
        self._config = config
        self._step = 0
        self._places = {c: StreamState([Cursor()] * self._source.num_streams(c)) for c in present}
        self._making: Prefetcher[tuple[TrainStep, int, dict[str, StreamState]]] | None = None

    def __iter__(self) -> Iterator[TrainStep]:
        return self

    def __next__(self) -> TrainStep:
        if self._making is None:
            self._making = self._start()
        step, self._step, self._places = next(self._making)
        for name, reason in step.skipped:
            self.skipped.add(name, reason)
        return step

    def state(self) -> dict[str, Any]:
        """Return where the loader stands after the last step handed out, as plain JSON values, the same everywhere."""
        return {**self._known, "step": self._step, "corpora": {c: _json(place) for c, place in self._places.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint left off, on any number of processes and workers.

        Raises: RecipeError when it was made from other shards, with another tokenizer or by another version;
            IntegrityError when it is damaged.
        """
        _check_known(state, self._known)
        try:
            step = int(state["step"])
            places = {
                c: StreamState(
                    [Cursor(**cursor) for cursor in p["streams"]],
                    p["num_turns"],
                    p.get("num_given", p.get("num_tokens")),
                )
                for c, p in state["corpora"].items()
            }
            counts = [step, *(n for p in places.values() for n in (p.num_turns, p.num_given))]
            counts += [n for p in places.values() for cursor in p.cursors for n in asdict(cursor).values()]
            same_streams = {c: len(p.cursors) for c, p in places.items()} == {
                c: len(p.cursors) for c, p in self._places.items()
            }
            sound = same_streams and all(type(n) is int and n >= 0 for n in counts)
        except (KeyError, TypeError, ValueError, AttributeError):
            sound = False
        if not sound:
            raise IntegrityError("the checkpoint does not say where the loader was; --overwrite starts anew")
        self.close()
        self._step, self._places = step, places

    def close(self) -> None:
        """End the workers; the next step starts them again from the last that was handed out."""
        if self._making is not None:
            self._making.close()
            self._making = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _of_a_row(self, corpus: str) -> float:
        """Guess how much of what is wanted of a corpus a row gives."""
        data = self._config.data
        if data.tokens_per_step is not None:
            return data.sequence_length
        return 1 if corpus in ROWS else max(1, data.sequence_length / TOKENS_OF_A_SAMPLE)

    def _tokens(self, of_a_step: int) -> dict[str, float]:
        return {c: of_a_step * share for c, share in self.shares.items()}

    def _start(self) -> Prefetcher[tuple[TrainStep, int, dict[str, StreamState]]]:
        data = self._config.data
        for corpus, place in self._places.items():
            self._source.stand(corpus, place.cursors)
        wanted, by_sequences = self.wanted, data.tokens_per_step is None
        if not data.workers:
            return Prefetcher(
                Steps(self._source, self._batches, wanted, self._step, self._places, by_sequences), None, 0
            )
        # turns drawn by workers beside the steps that are made ready: about a step's worth
        ahead = {c: math.ceil(n / self._of_a_row(c)) + data.workers for c, n in wanted.items()}
        turns = {c: place.num_turns for c, place in self._places.items()}
        workers = Workers(self._source, data.workers, turns, ahead)
        steps = Steps(workers, self._batches, wanted, self._step, self._places, by_sequences)
        making = Prefetcher(steps, workers, data.prefetch_steps)
        weakref.finalize(self, making.close)  # also when the interpreter ends
        return making


def present_shares(shards: Shards, data: Data) -> tuple[dict[str, float], dict[str, float]]:
    """Return the share of each corpus that a configuration mixes, and of those alone that the shards hold.

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
    _check_known(state, _known(shards, tokenizer))


def _known(shards: Shards, tokenizer: Tokenizer) -> dict[str, Any]:
    return {"version": STATE_VERSION, "shards": shards.fingerprint, "tokenizer": tokenizer.sha256}


def _check_known(state: dict[str, Any], known: dict[str, Any]) -> None:
    for name, value in known.items():
        if state.get(name) != value:
            raise RecipeError(f"the checkpoint was made with another {name}; --overwrite starts anew")


def _json(place: StreamState) -> dict[str, Any]:
    streams = [asdict(cursor) for cursor in place.cursors]
    return {"num_turns": place.num_turns, "num_given": place.num_given, "streams": streams}
