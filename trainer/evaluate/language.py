"""Language tasks of lm-evaluation-harness.

Array letters: L tokens.
"""

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
from trainer.evaluate.run import Result, Settings, Workgroup
from trainer.evaluate.task import TaskScore
from trainer.generate.engine import GenerationEngine, Prompt
from trainer.generate.search import greedy_steps
from trainer.load import Saved
from trainer.tokenizer import BOS, EOS, Tokenizer


@dataclass(frozen=True)
class Pair:
    """A context and its continuation, in tokens. Without the last token, they fit into one row."""

    context: Tokens
    continuation: Tokens


@dataclass(frozen=True)
class _Batch:
    """Pairs by their indices in a list. Pairs with the same context are options of one prompt, in this order."""

    places: list[int]
    prompts: list[Prompt]
    options: list[list[Tokens]]

    def engine(self, saved: Saved) -> GenerationEngine:
        return GenerationEngine(saved, self.prompts, max(map(len, chain.from_iterable(self.options))))


def pair(tokenizer: Tokenizer, context: str, continuation: str, length: int) -> Pair:
    """Encode context and continuation as one text of at most `length` positions, and split its tokens.

    A token across the boundary belongs to the continuation.

    Raises: RecipeError when the continuation is longer than a row.
    """
    whole = tokenizer.encode(context + continuation)
    first = tokenizer.encode(context.rstrip()) if continuation else whole
    shorter = min(len(first), len(whole))
    cut = int(np.append(first[:shorter] == whole[:shorter], False).argmin())
    if len(whole) - cut > length:
        raise RecipeError(f"a continuation takes {len(whole) - cut} tokens; the model reads {length} at most")
    return Pair(with_bos(whole[:cut])[max(0, len(whole) - length) :], whole[cut:])


def windows(tokens: Tokens, length: int) -> Iterator[Pair]:
    """Yield a text in windows of `length` positions, so that each of its tokens is predicted once.

    The first window starts with <s>, others with the token before; the last one has as much context as fits.
    """
    whole = with_bos(tokens)
    for start in range(1, len(whole), length):
        end = min(start + length, len(whole))
        yield Pair(whole[max(0, end - length - 1) : start], whole[start:end])


def with_bos(tokens: Tokens) -> Tokens:
    """Return tokens after <s>."""
    return np.concatenate([np.array([BOS], np.int32), tokens])


def prompt_of(tokens_L: Tokens) -> Prompt:
    """Return tokens without images as a prompt."""
    return Prompt(tokens_L, np.zeros(len(tokens_L), np.bool_), ())


def log_likelihoods(saved: Saved, pairs: Sequence[Pair], batch: int) -> list[float]:
    """Return the log-probability of each pair's continuation; 0 for an empty one."""
    found = [0.0] * len(pairs)
    for part in _batches(pairs, batch):
        scores = part.engine(saved).score(part.options)
        for place, score in zip(part.places, chain.from_iterable(scores), strict=True):
            found[place] = score
    return found


def are_greedy(saved: Saved, pairs: Sequence[Pair], batch: int) -> list[bool]:
    """Return whether each pair's continuation is the result of greedy search. Stops when no more pair can be."""
    found = [True] * len(pairs)
    for part in _batches(pairs, batch):
        options = [option.tolist() for option in chain.from_iterable(part.options)]
        rows = [row for row, of_prompt in enumerate(part.options) for _ in of_prompt]
        equal = set(range(len(options)))
        for number, tokens in enumerate(greedy_steps(part.engine(saved), max(map(len, options)), EOS)):
            equal = {o for o in equal if number >= len(options[o]) or options[o][number] == tokens[rows[o]]}
            if all(len(options[o]) == number + 1 for o in equal if len(options[o]) > number):
                break
        for o, place in enumerate(part.places):
            found[place] = o in equal
    return found


def _batches(pairs: Sequence[Pair], size: int) -> Iterator[_Batch]:
    """Yield the pairs with a continuation, `size` at a time, the longest contexts first."""

    def context(place: int) -> bytes:
        return pairs[place].context.tobytes()

    order = [place for place, found in enumerate(pairs) if len(found.continuation)]
    order.sort(key=lambda place: (-len(pairs[place].context), context(place)))
    for first in range(0, len(order), size):
        groups = [list(group) for _, group in groupby(order[first : first + size], key=context)]
        yield _Batch(
            list(chain.from_iterable(groups)),
            [prompt_of(pairs[group[0]].context) for group in groups],
            [[pairs[place].continuation for place in group] for group in groups],
        )


_LIMITS = "max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"  # names of one argument, by priority
_MAX_TOKENS = 256  # default, as in the harness's own models


class Instance(Protocol):
    """A request of the harness."""

    @property
    def args(self) -> tuple[Any, ...]:
        """A context and a continuation; a text; or a context and generation arguments."""


@dataclass(frozen=True)
class _Generation:
    """A prompt to continue until a stop string, or for `max_tokens`."""

    prompt: Prompt
    until: tuple[str, ...]
    max_tokens: int

    def cut(self, text: str) -> str:
        """Return the text before the first stop string."""
        return text[: min((text.index(end) for end in self.until if end in text), default=len(text))]

    def is_over(self, tokenizer: Tokenizer, generated: list[int]) -> bool:
        return len(generated) >= self.max_tokens or any(end in tokenizer.decode(generated) for end in self.until)


class LanguageModel:
    """A model with the harness's interface, which reads `batch` texts at a time."""

    def __init__(self, saved: Saved, batch: int) -> None:
        super().__init__()
        self._saved, self._batch, self._length = saved, batch, saved.config.data.sequence_length

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Return each continuation's log-probability, and whether it is the result of greedy search.

        Raises: RecipeError when a continuation is longer than the model's row.
        """
        texts = [request.args for request in requests]
        pairs = [pair(self._saved.tokenizer, context, continuation, self._length) for context, continuation in texts]
        log_p = log_likelihoods(self._saved, pairs, self._batch)
        return list(zip(log_p, are_greedy(self._saved, pairs, self._batch), strict=True))

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        """Return each text's log-probability, in windows of the model's sequence length."""
        texts = [list(windows(self._saved.tokenizer.encode(request.args[0]), self._length)) for request in requests]
        log_p = iter(log_likelihoods(self._saved, [window for text in texts for window in text], self._batch))
        return [sum(next(log_p) for _ in text) for text in texts]

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Return the greedy continuation of each context, before its first stop string.

        Raises: RecipeError when a task needs random sampling.
        """
        generations = [self._generation(*request.args) for request in requests]
        order = sorted(range(len(generations)), key=lambda place: -len(generations[place].prompt.tokens_L))
        found: dict[int, str] = {}
        for first in range(0, len(order), self._batch):
            places = order[first : first + self._batch]
            found.update(zip(places, self._generate([generations[place] for place in places]), strict=True))
        return [found[place] for place in range(len(generations))]

    def _generation(self, context: str, arguments: dict[str, Any]) -> _Generation:
        if arguments.get("do_sample", (arguments.get("temperature") or 0) > 0):
            raise RecipeError(
                "the task needs random sampling (do_sample or temperature); only greedy search is supported"
            )
        until = arguments.get("until") or []
        limits = (arguments[name] for name in _LIMITS if arguments.get(name) is not None)
        max_tokens = min(int(next(limits, _MAX_TOKENS)), self._length // 2)
        tokens = with_bos(self._saved.tokenizer.encode(context))[-(self._length - max_tokens) :]
        stops = tuple(filter(None, [until] if isinstance(until, str) else until))
        return _Generation(prompt_of(tokens), stops, max_tokens)

    def _generate(self, generations: Sequence[_Generation]) -> Iterator[str]:
        longest = max(one.max_tokens for one in generations)
        engine = GenerationEngine(self._saved, [one.prompt for one in generations], longest)
        generated: list[list[int]] = [[] for _ in generations]
        open_rows = set(range(len(generations)))
        for tokens in greedy_steps(engine, longest, EOS):
            open_rows = {row for row in open_rows if tokens[row] != EOS}
            for row in open_rows:
                generated[row].append(tokens[row])
            open_rows = {
                row for row in open_rows if not generations[row].is_over(self._saved.tokenizer, generated[row])
            }
            if not open_rows:
                break
        return (
            one.cut(self._saved.tokenizer.decode(tokens)) for one, tokens in zip(generations, generated, strict=True)
        )


PREFIX = "language:"  # before the name of a task in the harness
FOLDER = "language"  # of custom tasks
_FRACTIONS = "acc", "acc_norm", "exact_match"  # metrics from 0 to 1, reported on the paper's scale to 100


def find(names: Sequence[str], data: Path) -> Any:
    """Find tasks by their names in the harness; return its TaskManager, which reads them.

    Raises: MissingError without the harness; RecipeError when a task is unknown.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise MissingError('language tasks need lm-evaluation-harness: pip install "weft[language]"') from error

    own = data / FOLDER
    manager = TaskManager(include_path=str(own) if own.is_dir() else None)
    for name in names:
        if name not in manager.all_tasks:
            raise RecipeError(f"the harness has no task {name}{nearest(name, manager.all_tasks)}")
    return manager


def evaluate_language(
    saved: Saved, names: Sequence[str], manager: Any, settings: Settings, group: Workgroup
) -> list[Result]:
    """Run tasks with one number of shots. The first process gets the results, including those of a group's parts.

    Raises: PathError when a task's data cannot be read or downloaded.
    """
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM

    class Model(LanguageModel, LM):  # type: ignore[misc]  # the harness is not installed where types are checked
        """The model with the harness's base class. Each process answers its part of the requests."""

        def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
            return _divided(super().loglikelihood, requests, group)

        def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
            return _divided(super().loglikelihood_rolling, requests, group)

        def generate_until(self, requests: Sequence[Instance]) -> list[str]:
            return _divided(super().generate_until, requests, group)

    try:
        found = simple_evaluate(
            Model(saved, settings.batch), tasks=list(names), num_fewshot=settings.shots, limit=settings.limit,
            task_manager=manager, log_samples=False, fewshot_random_seed=settings.seed,
        )  # fmt: skip
    except OSError as error:  # also of its hub
        raise PathError(f"the harness cannot read the data of {', '.join(names)}: {error}") from error
    if found is None:  # only the first process gets results
        return []
    return [_result(task, values, found, settings) for task, values in found["results"].items()]


def _divided(answer: Callable[[Sequence[Any]], list[Any]], requests: Sequence[Any], group: Workgroup) -> list[Any]:
    """Answer this process's part of the requests, and return all parts in order."""
    first, last = (len(requests) * number // group.world for number in (group.rank, group.rank + 1))
    return group.gather(group.together(lambda: answer(requests[first:last]) if last > first else []))


def _result(task: str, values: dict[str, Any], found: dict[str, Any], settings: Settings) -> Result:
    num_examples = found["n-samples"].get(task, {}).get("effective", 0)
    scores = {}
    for key, value in values.items():
        metric, _, filter_name = key.partition(",")  # such as acc,none
        if isinstance(value, int | float) and not metric.endswith("_stderr") and filter_name:
            scale = 100 if metric in _FRACTIONS else 1
            error = values.get(f"{metric}_stderr,{filter_name}")
            margin = Z_95 * error if isinstance(error, int | float) else None
            interval = (None, None) if margin is None else (scale * (value - margin), scale * (value + margin))
            name = metric if filter_name == "none" else f"{metric} ({filter_name})"
            scores[name] = TaskScore(scale * value, *interval)
    return Result(f"{PREFIX}{task}", settings.shots, False, num_examples, scores)
