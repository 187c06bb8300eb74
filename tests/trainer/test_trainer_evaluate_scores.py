"""Scores: who knows the right answers has all of them, and who guesses has what chance gives."""

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, pstdev

import pytest
from examination import write

from trainer.evaluate.model import EncodedPrompt, Reader
from trainer.evaluate.run import Settings, evaluate
from trainer.evaluate.task import AnswerMode, Completion, Example, TaskScore
from trainer.evaluate.tasks import TASKS
from trainer.tokenizer import Tokenizer

Choice = Callable[[EncodedPrompt], int | str]
Z = 3.29  # two-sided 99.9 %
CHOSEN = [name for name, task in TASKS.items() if task.mode.how != "say" and name != "hateful"]


class Choosing:
    """One who answers as a function says: a number among options or candidates, or words."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice

    def answer(self, mode: AnswerMode, asked: Sequence[EncodedPrompt]) -> list[Completion]:
        return [self._one(mode, one) for one in asked]

    def _one(self, mode: AnswerMode, asked: EncodedPrompt) -> Completion:
        chosen = self.choice(asked)
        if isinstance(chosen, str):
            return Completion(chosen)
        log_p = tuple(0.0 if n == chosen else -1.0 for n in range(num_choices(asked.example)))
        text = str(chosen) if asked.example.candidates else asked.example.options[chosen]
        return Completion(text) if mode.how == "spell" else Completion(text, log_p)


def num_choices(example: Example) -> int:
    return len(example.candidates or example.options)


def knowing(asked: EncodedPrompt) -> int | str:
    example = asked.example
    if example.candidates:
        return int(example.right[0])
    return example.options.index(example.right[0]) if example.options else example.right[0]


def guessing(asked: EncodedPrompt) -> int:
    return random.Random(asked.example.id + asked.example.words).randrange(num_choices(asked.example))


def scored(
    name: str, choice: Choice, root: Path, words: Tokenizer, number: int
) -> tuple[dict[str, TaskScore], list[Example]]:
    exam = write(name, root, number)
    reader = Reader(words, 2, 4096)
    result = evaluate(TASKS[name], exam.data, exam.output, Settings(batch=16), Choosing(choice), "one", reader)
    assert result.num_examples == number and result.task == name
    return result.scores, exam.asked


@pytest.mark.parametrize("name", TASKS)
def test_who_knows_the_answers_has_all_right(name: str, words: Tokenizer, tmp_path: Path) -> None:
    """CIDEr is 10 for a caption that is its only reference, when no two are alike: 1000 on the paper's scale."""
    scores, _ = scored(name, knowing, tmp_path, words, 12)
    first = next(iter(scores.values()))
    assert first.value == pytest.approx(1000 if TASKS[name].mode.num_beams > 1 else 100, abs=1e-6)
    others = list(scores.values())[1:]
    assert all(score.value == 100 for score in others if TASKS[name].mode.num_beams == 1)
    assert first.high is None or first.high == pytest.approx(100)


@pytest.mark.parametrize("name", CHOSEN)
def test_who_guesses_has_what_chance_gives(name: str, words: Tokenizer, tmp_path: Path) -> None:
    number = 60 if name == "raven" else 200
    scores, asked = scored(name, guessing, tmp_path, words, number)
    chance = 1 / num_choices(asked[0])
    num_right = scores["accuracy"].value / 100 * number
    assert abs(num_right - number * chance) <= Z * math.sqrt(number * chance * (1 - chance)) + 0.5
    low, high = scores["accuracy"].low, scores["accuracy"].high
    assert low is not None and high is not None and 0 < low < scores["accuracy"].value < high < 100


def test_who_guesses_at_memes_has_half_the_area(words: Tokenizer, tmp_path: Path) -> None:
    """The spread is that of the statistic of Mann and Whitney without a tie, and of ties less."""
    scores, asked = scored("hateful", guessing, tmp_path, words, 300)
    yes = sum(example.right == ("yes",) for example in asked)
    no = len(asked) - yes
    assert abs(scores["auc"].value - 50) <= 100 * Z * math.sqrt((yes + no + 1) / (12 * yes * no))


def by_ten_people(said: str, right: Sequence[str]) -> float:
    """Leave each person out in turn: three of the nine others make an answer right."""
    return fmean(min(1.0, sum(o == said for n, o in enumerate(right) if n != left) / 3) for left in range(len(right)))


def f1(said: str, right: Sequence[str]) -> float:
    (one,) = right
    common = len(set(said.split()) & set(one.split()))
    return 2 * common / (len(said.split()) + len(one.split()))


SAID: list[tuple[str, str, Callable[[str, Sequence[str]], float]]] = [
    ("vqav2", "accuracy", by_ten_people),
    ("vizwiz", "accuracy", by_ten_people),
    ("websrc", "exact", lambda said, right: float(said == right[0])),
    ("websrc", "f1", f1),
    ("imagenet-free", "accuracy", lambda said, right: float(said in right)),
    ("coco", "cider", lambda said, right: 0.0),
    ("flickr30k", "cider", lambda said, right: 0.0),
]


@pytest.mark.parametrize(("name", "metric", "judge"), SAID)
def test_who_says_what_is_right_of_another_has_the_mean_of_all_pairs(
    name: str, metric: str, judge: Callable[[str, Sequence[str]], float], words: Tokenizer, tmp_path: Path
) -> None:
    """Captions have no word in common that weighs, so another's caption is worth nothing at all."""
    number = 60
    asked = write(name, tmp_path / "again", number).asked
    rights = [example.right for example in asked]
    pairs = [judge(other[0], right) for i, right in enumerate(rights) for j, other in enumerate(rights) if i != j]
    place = {example.id: n for n, example in enumerate(asked)}

    def another(one: EncodedPrompt) -> str:
        here = place[one.example.id]
        return rights[(here + 1 + random.Random(here).randrange(number - 1)) % number][0]

    scores, _ = scored(name, another, tmp_path, words, number)
    assert abs(scores[metric].value / 100 - fmean(pairs)) <= Z * pstdev(pairs) / math.sqrt(number) + 1e-9
    assert metric == "cider" or 0 < scores[metric].value < 100
