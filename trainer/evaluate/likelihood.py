"""How likely a text is behind another, to a trained model: many pairs of them, in batches, the longest first.

A text is cut as lm-evaluation-harness cuts one for its own models, so that figures can be compared: spaces at the end
of what stands before belong to what follows, and what does not fit into the model's row is left out at the front.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

import numpy as np

from schemas.errors import RecipeError
from trainer.formats import Tokens
from trainer.generate.continuation import Continuation
from trainer.generate.prompt import Prompt
from trainer.generate.search import spoken
from trainer.saved import Saved
from trainer.tokenizer import BOS, EOS, Tokenizer


@dataclass(frozen=True)
class Pair:
    """Tokens that are read, and those that are expected behind them. All but the last are positions of one row."""

    before: Tokens
    expected: Tokens


@dataclass(frozen=True)
class _Batch:
    """Pairs by their places in a list; those with the same tokens before are options of one prompt, in this order."""

    places: list[int]
    prompts: list[Prompt]
    options: list[list[Tokens]]

    def continuation(self, saved: Saved) -> Continuation:
        return Continuation(saved, self.prompts, max(map(len, chain.from_iterable(self.options))))


def pair(tokenizer: Tokenizer, before: str, expected: str, length: int) -> Pair:
    """Encode two texts as one, and cut its tokens where those of the first alone end; a row holds `length` positions.

    A piece that reaches over the boundary belongs to what is expected.

    Raises: RecipeError when what is expected is longer than a row.
    """
    whole = tokenizer.encode(before + expected)
    first = tokenizer.encode(before.rstrip()) if expected else whole
    most = min(len(first), len(whole))
    cut = int(np.append(first[:most] == whole[:most], False).argmin())
    if len(whole) - cut > length:
        raise RecipeError(f"a continuation takes {len(whole) - cut} tokens; the model reads {length} at most")
    return Pair(opened(whole[:cut])[max(0, len(whole) - length) :], whole[cut:])


def windows(tokens: Tokens, length: int) -> Iterator[Pair]:
    """Yield a text in windows of `length` positions, each of its tokens expected once.

    The first window begins with <s>, the others with the token before; the last one has as many before as fit.
    """
    whole = opened(tokens)
    for start in range(1, len(whole), length):
        end = min(start + length, len(whole))
        yield Pair(whole[max(0, end - length - 1) : start], whole[start:end])


def opened(tokens: Tokens) -> Tokens:
    """Return tokens with <s> in front, as a document begins."""
    return np.concatenate([np.array([BOS], np.int32), tokens])


def prompt_of(tokens_L: Tokens) -> Prompt:
    """Return tokens of words alone as a prompt."""
    return Prompt(tokens_L, np.zeros(len(tokens_L), np.bool_), ())


def log_likelihoods(saved: Saved, pairs: Sequence[Pair], batch: int) -> list[float]:
    """Return the log-probability of what each pair expects; of nothing, 0."""
    found = [0.0] * len(pairs)
    for part in _batches(pairs, batch):
        scores = part.continuation(saved).score(part.options)
        for place, score in zip(part.places, chain.from_iterable(scores), strict=True):
            found[place] = score
    return found


def are_said(saved: Saved, pairs: Sequence[Pair], batch: int) -> list[bool]:
    """Return whether greedy search says what each pair expects. Search goes on only while it may still be so."""
    found = [True] * len(pairs)
    for part in _batches(pairs, batch):
        options = [option.tolist() for option in chain.from_iterable(part.options)]
        rows = [row for row, of_prompt in enumerate(part.options) for _ in of_prompt]
        held = set(range(len(options)))
        for number, tokens in enumerate(spoken(part.continuation(saved), max(map(len, options)), EOS)):
            held = {o for o in held if number >= len(options[o]) or options[o][number] == tokens[rows[o]]}
            if all(len(options[o]) == number + 1 for o in held if len(options[o]) > number):
                break
        for o, place in enumerate(part.places):
            found[place] = o in held
    return found


def _batches(pairs: Sequence[Pair], size: int) -> Iterator[_Batch]:
    """Yield the pairs that expect something, `size` at a time, those with the most tokens before first."""

    def spelling(place: int) -> bytes:
        return pairs[place].before.tobytes()

    order = [place for place, found in enumerate(pairs) if len(found.expected)]
    order.sort(key=lambda place: (-len(pairs[place].before), spelling(place)))
    for first in range(0, len(order), size):
        groups = [list(group) for _, group in groupby(order[first : first + size], key=spelling)]
        yield _Batch(
            list(chain.from_iterable(groups)),
            [prompt_of(pairs[group[0]].before) for group in groups],
            [[pairs[place].expected for place in group] for group in groups],
        )
