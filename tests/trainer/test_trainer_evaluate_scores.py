"""Scores: an adapter that knows the answers scores 100, one that guesses scores as expected by chance."""

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, pstdev

import pytest
from benchmark_files import write

from trainer.evaluate.model import EncodedPrompt, Reader
from trainer.evaluate.run import Settings, evaluate
from trainer.evaluate.task import AnswerMethod, AnswerMode, Completion, Example, TaskScore
from trainer.evaluate.tasks import TASKS
from trainer.tokenizer import Tokenizer

Choice = Callable[[EncodedPrompt], int | str]
Z = 3.29  # two-sided 99.9 %
CHOSEN = [name for name, task in TASKS.items() if task.mode.method is not AnswerMethod.GENERATE and name != "hateful"]


class FunctionAdapter:
    """Answers by a function: the index of an option or candidate, or a text."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice

    def answer(self, mode: AnswerMode, encoded: Sequence[EncodedPrompt]) -> list[Completion]:
        return [self._one(mode, one) for one in encoded]

    def _one(self, mode: AnswerMode, encoded: EncodedPrompt) -> Completion:
        chosen = self.choice(encoded)
        if isinstance(chosen, str):
            return Completion(chosen)
        log_p = tuple(0.0 if n == chosen else -1.0 for n in range(num_choices(encoded.example)))
        text = str(chosen) if encoded.example.candidates else encoded.example.options[chosen]
        return Completion(text) if mode.method is AnswerMethod.CONSTRAINED else Completion(text, log_p)


def num_choices(example: Example) -> int:
    return len(example.candidates or example.options)


def knowing(encoded: EncodedPrompt) -> int | str:
    example = encoded.example
    if example.candidates:
        return int(example.correct[0])
    return example.options.index(example.correct[0]) if example.options else example.correct[0]


def guessing(encoded: EncodedPrompt) -> int:
    return random.Random(encoded.example.id + encoded.example.prompt).randrange(num_choices(encoded.example))


def scored(
    name: str, choice: Choice, root: Path, tokenizer: Tokenizer, number: int
) -> tuple[dict[str, TaskScore], list[Example]]:
    benchmark = write(name, root, number)
    reader = Reader(tokenizer, 2, 4096)
    result = evaluate(
        TASKS[name], benchmark.data, benchmark.output, Settings(batch=16), FunctionAdapter(choice), "one", reader
    )
    assert result.num_examples == number and result.task == name
    return result.scores, benchmark.examples


@pytest.mark.parametrize("name", TASKS)
def test_correct_answers_score_100(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """CIDEr of a caption that equals its only reference is 10 (here 1000) if no two references share words."""
    scores, _ = scored(name, knowing, tmp_path, tokenizer, 12)
    first = next(iter(scores.values()))
    assert first.value == pytest.approx(1000 if TASKS[name].mode.num_beams > 1 else 100, abs=1e-6)
    others = list(scores.values())[1:]
    assert all(score.value == 100 for score in others if TASKS[name].mode.num_beams == 1)
    assert first.high is None or first.high == pytest.approx(100)


@pytest.mark.parametrize("name", CHOSEN)
def test_guesses_score_as_by_chance(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    number = 60 if name == "raven" else 200
    scores, encoded = scored(name, guessing, tmp_path, tokenizer, number)
    chance = 1 / num_choices(encoded[0])
    num_correct = scores["accuracy"].value / 100 * number
    assert abs(num_correct - number * chance) <= Z * math.sqrt(number * chance * (1 - chance)) + 0.5
    low, high = scores["accuracy"].low, scores["accuracy"].high
    assert low is not None and high is not None and 0 < low < scores["accuracy"].value < high < 100


def test_guesses_at_memes_have_half_the_area(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The variance is that of the Mann-Whitney statistic without ties; with ties it is smaller."""
    scores, encoded = scored("hateful", guessing, tmp_path, tokenizer, 300)
    yes = sum(example.correct == ("yes",) for example in encoded)
    no = len(encoded) - yes
    assert abs(scores["auc"].value - 50) <= 100 * Z * math.sqrt((yes + no + 1) / (12 * yes * no))


def by_ten_people(answer: str, correct: Sequence[str]) -> float:
    """Leave out each person in turn: an answer is correct if three of the other nine gave it."""
    return fmean(
        min(1.0, sum(o == answer for n, o in enumerate(correct) if n != left) / 3) for left in range(len(correct))
    )


def f1(answer: str, correct: Sequence[str]) -> float:
    (one,) = correct
    common = len(set(answer.split()) & set(one.split()))
    return 2 * common / (len(answer.split()) + len(one.split()))


FREE: list[tuple[str, str, Callable[[str, Sequence[str]], float]]] = [
    ("vqav2", "accuracy", by_ten_people),
    ("vizwiz", "accuracy", by_ten_people),
    ("websrc", "exact", lambda answer, correct: float(answer == correct[0])),
    ("websrc", "f1", f1),
    ("imagenet-free", "accuracy", lambda answer, correct: float(answer in correct)),
    ("coco", "cider", lambda answer, correct: 0.0),
    ("flickr30k", "cider", lambda answer, correct: 0.0),
]


@pytest.mark.parametrize(("name", "metric", "judge"), FREE)
def test_answers_of_other_examples_score_the_mean_of_all_pairs(
    name: str, metric: str, judge: Callable[[str, Sequence[str]], float], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Captions share no words with weight, so the caption of another image scores 0."""
    number = 60
    encoded = write(name, tmp_path / "again", number).examples
    references = [example.correct for example in encoded]
    pairs = [
        judge(other[0], correct) for i, correct in enumerate(references) for j, other in enumerate(references) if i != j
    ]
    place = {example.id: n for n, example in enumerate(encoded)}

    def another(one: EncodedPrompt) -> str:
        here = place[one.example.id]
        return references[(here + 1 + random.Random(here).randrange(number - 1)) % number][0]

    scores, _ = scored(name, another, tmp_path, tokenizer, number)
    assert abs(scores[metric].value / 100 - fmean(pairs)) <= Z * pstdev(pairs) / math.sqrt(number) + 1e-9
    assert metric == "cider" or 0 < scores[metric].value < 100
