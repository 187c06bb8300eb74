"""Language alone: a trained model as lm-evaluation-harness asks one (trainer/evaluate/harness.py).

A task asks in three ways: how likely is a continuation behind a context, how likely is a whole text, and what is said
behind a context until a string comes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.errors import RecipeError
from trainer.evaluate.likelihood import are_said, log_likelihoods, opened, pair, prompt_of, windows
from trainer.generate.continuation import Continuation
from trainer.generate.prompt import Prompt
from trainer.generate.search import spoken
from trainer.saved import Saved
from trainer.tokenizer import EOS, Tokenizer

_MOST = "max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"  # names for one thing, first ones first
_MAX_TOKENS = 256  # where a task gives it no name; the harness's own models say as many


class Instance(Protocol):
    """One thing that the harness asks."""

    @property
    def args(self) -> tuple[Any, ...]:
        """A context and a continuation; a text; or a context and how to go on."""


@dataclass(frozen=True)
class _Open:
    """A prompt that is gone on with until one of some strings comes, or so many tokens are said."""

    prompt: Prompt
    until: tuple[str, ...]
    max_tokens: int

    def cut(self, text: str) -> str:
        """Return what stands before the first of the strings."""
        return text[: min((text.index(end) for end in self.until if end in text), default=len(text))]

    def is_over(self, tokenizer: Tokenizer, said: list[int]) -> bool:
        return len(said) >= self.max_tokens or any(end in tokenizer.decode(said) for end in self.until)


class Language:
    """A trained model as the harness asks one, `batch` texts at a time. `evaluate_language` adds the base class."""

    def __init__(self, saved: Saved, batch: int) -> None:
        super().__init__()
        self._saved, self._batch, self._length = saved, batch, saved.config.data.sequence_length

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Return each continuation's log-probability, and whether greedy search says it.

        Raises: RecipeError when a continuation is longer than the model's row.
        """
        texts = [request.args for request in requests]
        pairs = [pair(self._saved.tokenizer, before, expected, self._length) for before, expected in texts]
        log_p = log_likelihoods(self._saved, pairs, self._batch)
        return list(zip(log_p, are_said(self._saved, pairs, self._batch), strict=True))

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        """Return each text's log-probability, in windows of the model's row where it is longer."""
        texts = [list(windows(self._saved.tokenizer.encode(request.args[0]), self._length)) for request in requests]
        log_p = iter(log_likelihoods(self._saved, [window for text in texts for window in text], self._batch))
        return [sum(next(log_p) for _ in text) for text in texts]

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Return what greedy search says behind each context, before the first of the strings that end it.

        Raises: RecipeError when a task wants it to be drawn by chance.
        """
        asked = [self._open(*request.args) for request in requests]
        order = sorted(range(len(asked)), key=lambda place: -len(asked[place].prompt.tokens_L))
        found: dict[int, str] = {}
        for first in range(0, len(order), self._batch):
            places = order[first : first + self._batch]
            found.update(zip(places, self._say([asked[place] for place in places]), strict=True))
        return [found[place] for place in range(len(asked))]

    def _open(self, context: str, how: dict[str, Any]) -> _Open:
        if how.get("do_sample", (how.get("temperature") or 0) > 0):
            raise RecipeError("the task draws by chance (do_sample, or a temperature); only greedy search is there")
        until = how.get("until") or []
        asked_for = (how[name] for name in _MOST if how.get(name) is not None)
        most = min(int(next(asked_for, _MAX_TOKENS)), self._length // 2)
        tokens = opened(self._saved.tokenizer.encode(context))[-(self._length - most) :]
        return _Open(prompt_of(tokens), tuple(filter(None, [until] if isinstance(until, str) else until)), most)

    def _say(self, asked: Sequence[_Open]) -> Iterator[str]:
        longest = max(one.max_tokens for one in asked)
        going_on = Continuation(self._saved, [one.prompt for one in asked], longest)
        said: list[list[int]] = [[] for _ in asked]
        open_rows = set(range(len(asked)))
        for tokens in spoken(going_on, longest, EOS):
            open_rows = {row for row in open_rows if tokens[row] != EOS}
            for row in open_rows:
                said[row].append(tokens[row])
            open_rows = {row for row in open_rows if not asked[row].is_over(self._saved.tokenizer, said[row])}
            if not open_rows:
                break
        return (one.cut(self._saved.tokenizer.decode(tokens)) for one, tokens in zip(asked, said, strict=True))
