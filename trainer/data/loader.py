"""The loader: an endless iterator over steps, made ready ahead off the process that trains.

The global batch at step s is a function of the shards, the seed and s alone. The mixture counts tokens: a corpus gives
rows until it has given its share of all tokens so far.
"""

import math
import sys
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

from open_clip.transform import PreprocessCfg

from schemas.display import message
from schemas.errors import IntegrityError, RecipeError
from trainer.config import TrainConfig
from trainer.config.data import Data
from trainer.data.ahead import Ahead
from trainer.data.batches import Batches
from trainer.data.shards import Shards
from trainer.data.source import Source
from trainer.data.steps import ROWS, Place, Step, Steps
from trainer.data.streams import Cursor
from trainer.data.workers import Workers
from trainer.tokenizer import Tokenizer

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
        self._source = Source(shards, tokenizer, config, self._batches.framing, rank, world)
        self._config = config
        self._step = 0
        self._places = {c: Place([Cursor()] * self._source.num_streams(c)) for c in present}
        self._making: Ahead[tuple[Step, int, dict[str, Place]]] | None = None

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
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
                c: Place(
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

    def _start(self) -> Ahead[tuple[Step, int, dict[str, Place]]]:
        data = self._config.data
        for corpus, place in self._places.items():
            self._source.stand(corpus, place.cursors)
        wanted, by_sequences = self.wanted, data.tokens_per_step is None
        if not data.workers:
            return Ahead(Steps(self._source, self._batches, wanted, self._step, self._places, by_sequences), None, 0)
        # turns drawn by workers beside the steps that are made ready: about a step's worth
        ahead = {c: math.ceil(n / self._of_a_row(c)) + data.workers for c, n in wanted.items()}
        turns = {c: place.num_turns for c, place in self._places.items()}
        workers = Workers(self._source, data.workers, turns, ahead)
        steps = Steps(workers, self._batches, wanted, self._step, self._places, by_sequences)
        making = Ahead(steps, workers, data.prefetch_steps)
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


def _json(place: Place) -> dict[str, Any]:
    streams = [asdict(cursor) for cursor in place.cursors]
    return {"num_turns": place.num_turns, "num_given": place.num_given, "streams": streams}
