"""Shots: drawn by the seed, never the example itself, none twice, and shown with the first right answer."""

from pathlib import Path

import pytest
from examination import write
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RecipeError
from trainer.evaluate.run import Settings, Shots, show_shots, shown
from trainer.evaluate.task import Example
from trainer.evaluate.tasks import TASKS

names = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=20)


def example(id: str, number: int = 0) -> Example:
    return Example(id, f"What is {id}?", (Path(f"{id}-{number}.png"),), (f"it is {id}", "else"))


@given(names, st.integers(0, 12), st.integers(0, 5), st.sampled_from("abcxyz"))
def test_shots_are_others_and_none_comes_twice(ids: list[str], number: int, seed: int, asked: str) -> None:
    pool = [example(id, place) for place, id in enumerate(ids)]
    found = Shots(pool, number, seed).of(example(asked))
    assert len(found) == min(number, len(set(ids) - {asked}))
    assert all(shot in pool for shot in found)
    drawn = [shot.id for shot in found]
    assert asked not in drawn and len(set(drawn)) == len(drawn)
    assert Shots(pool, number, seed).of(example(asked)) == found


def test_more_shots_begin_with_the_fewer_and_each_example_has_its_own() -> None:
    pool = [example(str(i)) for i in range(50)]
    by_number = [Shots(pool, number, 7).of(pool[3]) for number in (2, 4, 8)]
    assert by_number[0] == by_number[2][:2] and by_number[1] == by_number[2][:4]
    drawn = [tuple(shot.id for shot in Shots(pool, 4, seed).of(one)) for seed in (0, 1) for one in pool]
    assert len(set(drawn)) == len(drawn)


def test_each_of_a_pool_is_drawn_about_as_often() -> None:
    """Of 400 drawings of 5 in 20, each comes 100 times: 4 standard deviations are 35."""
    pool = [example(str(i)) for i in range(20)]
    drawn = [shot.id for i in range(400) for shot in Shots(pool, 5, 0).of(example(f"x{i}"))]
    assert all(65 < drawn.count(one.id) < 135 for one in pool)


def test_shots_stand_in_lines_before_the_example() -> None:
    one, two, asked = example("a"), example("b"), example("c")
    whole = shown([one, two], asked)
    assert whole.words == "What is a? it is a\nWhat is b? it is b\nWhat is c?"
    assert whole.images == (*one.images, *two.images, *asked.images)
    assert (whole.id, whole.right) == (asked.id, asked.right)


def test_the_pair_asked_the_other_way_round_is_no_shot(tmp_path: Path) -> None:
    exam = write("relative-size", tmp_path, 12)
    told = show_shots(TASKS["relative-size"], exam.data, exam.output, Settings(shots=4), exam.asked)
    for one, asked in zip(told, exam.asked, strict=True):
        *before, last = one.words.splitlines()
        assert last == asked.words and len(before) == 4
        assert not any(thing in line for line in before for thing in asked.id.split())


def test_a_task_without_shots_says_so(tmp_path: Path) -> None:
    exam = write("raven", tmp_path)
    assert show_shots(TASKS["raven"], exam.data, exam.output, Settings(), exam.asked) == exam.asked
    with pytest.raises(RecipeError, match="raven shows no examples; ask it with --shots 0"):
        show_shots(TASKS["raven"], exam.data, exam.output, Settings(shots=1), exam.asked)
