"""Language tasks of lm-evaluation-harness, answered by the likelihood of texts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from schemas.errors import MissingError, PathError, RecipeError
from schemas.overrides import nearest
from trainer.data.packing import Tokens
from trainer.evaluate.metrics import Z_95
from trainer.evaluate.run import Party, Result, Settings
from trainer.evaluate.task import TaskScore
from trainer.generate.engine import GenerationEngine, Prompt
from trainer.generate.search import greedy_steps
from trainer.load import Saved
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

    def continuation(self, saved: Saved) -> GenerationEngine:
        return GenerationEngine(saved, self.prompts, max(map(len, chain.from_iterable(self.options))))


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


def are_greedy(saved: Saved, pairs: Sequence[Pair], batch: int) -> list[bool]:
    """Return whether greedy search says what each pair expects. Search goes on only while it may still be so."""
    found = [True] * len(pairs)
    for part in _batches(pairs, batch):
        options = [option.tolist() for option in chain.from_iterable(part.options)]
        rows = [row for row, of_prompt in enumerate(part.options) for _ in of_prompt]
        held = set(range(len(options)))
        for number, tokens in enumerate(greedy_steps(part.continuation(saved), max(map(len, options)), EOS)):
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


class LanguageModel:
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
        return list(zip(log_p, are_greedy(self._saved, pairs, self._batch), strict=True))

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
        going_on = GenerationEngine(self._saved, [one.prompt for one in asked], longest)
        said: list[list[int]] = [[] for _ in asked]
        open_rows = set(range(len(asked)))
        for tokens in greedy_steps(going_on, longest, EOS):
            open_rows = {row for row in open_rows if tokens[row] != EOS}
            for row in open_rows:
                said[row].append(tokens[row])
            open_rows = {row for row in open_rows if not asked[row].is_over(self._saved.tokenizer, said[row])}
            if not open_rows:
                break
        return (one.cut(self._saved.tokenizer.decode(tokens)) for one, tokens in zip(asked, said, strict=True))


PREFIX = "language:"  # before the harness's own name of a task
FOLDER = "language"  # of one's own tasks
_SHARES = "acc", "acc_norm", "exact_match"  # metrics of 0 to 1, told on the paper's scale; others as the harness does


def find(names: Sequence[str], data: Path) -> Any:
    """Find tasks by the harness's names; return its TaskManager, which reads them.

    Raises: MissingError without the harness; RecipeError when a task is unknown.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise MissingError('tasks of language need lm-evaluation-harness: pip install "weft[language]"') from error

    own = data / FOLDER
    manager = TaskManager(include_path=str(own) if own.is_dir() else None)
    for name in names:
        if name not in manager.all_tasks:
            raise RecipeError(f"the harness has no task {name}{nearest(name, manager.all_tasks)}")
    return manager


def evaluate_language(
    saved: Saved, names: Sequence[str], manager: Any, settings: Settings, party: Party
) -> list[Result]:
    """Ask tasks that were found, all with as many shots. The first process gets each one's result, a group's parts too.

    Raises: PathError when a task's data cannot be read, or fetched.
    """
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM

    class Model(LanguageModel, LM):  # type: ignore[misc]  # the harness is not there where types are checked
        """The model, with what the harness has for every model; each process answers its part."""

        def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
            return _shared(super().loglikelihood, requests, party)

        def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
            return _shared(super().loglikelihood_rolling, requests, party)

        def generate_until(self, requests: Sequence[Instance]) -> list[str]:
            return _shared(super().generate_until, requests, party)

    try:
        found = simple_evaluate(
            Model(saved, settings.batch), tasks=list(names), num_fewshot=settings.shots, limit=settings.limit,
            task_manager=manager, log_samples=False, fewshot_random_seed=settings.seed,
        )  # fmt: skip
    except OSError as error:  # of its hub too
        raise PathError(f"the harness cannot read the data of {', '.join(names)}: {error}") from error
    if found is None:  # the harness tells the first process alone
        return []
    return [_result(task, told, found, settings) for task, told in found["results"].items()]


def _shared(answer: Callable[[Sequence[Any]], list[Any]], requests: Sequence[Any], party: Party) -> list[Any]:
    """Answer this process's part of what is asked, and return all parts in order."""
    first, last = (len(requests) * number // party.world for number in (party.rank, party.rank + 1))
    return party.gather(party.together(lambda: answer(requests[first:last]) if last > first else []))


def _result(task: str, told: dict[str, Any], found: dict[str, Any], settings: Settings) -> Result:
    num_examples = found["n-samples"].get(task, {}).get("effective", 0)
    scores = {}
    for key, value in told.items():
        metric, _, way = key.partition(",")  # as acc,none: the metric, and how what is said was read
        if isinstance(value, int | float) and not metric.endswith("_stderr") and way:
            scale = 100 if metric in _SHARES else 1
            error = told.get(f"{metric}_stderr,{way}")
            reach = Z_95 * error if isinstance(error, int | float) else None
            interval = (None, None) if reach is None else (scale * (value - reach), scale * (value + reach))
            scores[metric if way == "none" else f"{metric} ({way})"] = TaskScore(scale * value, *interval)
    return Result(f"{PREFIX}{task}", settings.shots, False, num_examples, scores)
