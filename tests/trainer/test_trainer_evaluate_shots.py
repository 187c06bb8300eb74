"""Shots: sampled by the seed, distinct, never the example itself, and shown with their first correct answer."""

from pathlib import Path

import pytest
from benchmark_files import write
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RecipeError
from trainer.evaluate.run import Settings, Shots, add_shots, prepend_shots
from trainer.evaluate.task import Example
from trainer.evaluate.tasks import TASKS

names = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=20)


def example(id: str, number: int = 0) -> Example:
    return Example(id, f"What is {id}?", (Path(f"{id}-{number}.png"),), (f"it is {id}", "else"))


@given(names, st.integers(0, 12), st.integers(0, 5), st.sampled_from("abcxyz"))
def test_shots_are_distinct_other_examples(ids: list[str], number: int, seed: int, target: str) -> None:
    pool = [example(id, place) for place, id in enumerate(ids)]
    found = Shots(pool, number, seed).of(example(target))
    assert len(found) == min(number, len(set(ids) - {target}))
    assert all(shot in pool for shot in found)
    sampled = [shot.id for shot in found]
    assert target not in sampled and len(set(sampled)) == len(sampled)
    assert Shots(pool, number, seed).of(example(target)) == found


def test_more_shots_extend_fewer_and_differ_by_example() -> None:
    pool = [example(str(i)) for i in range(50)]
    by_number = [Shots(pool, number, 7).of(pool[3]) for number in (2, 4, 8)]
    assert by_number[0] == by_number[2][:2] and by_number[1] == by_number[2][:4]
    sampled = [tuple(shot.id for shot in Shots(pool, 4, seed).of(one)) for seed in (0, 1) for one in pool]
    assert len(set(sampled)) == len(sampled)


def test_shots_are_sampled_uniformly() -> None:
    """In 400 samples of 5 from 20, each occurs 100 times on average; 4 standard deviations are 35."""
    pool = [example(str(i)) for i in range(20)]
    sampled = [shot.id for i in range(400) for shot in Shots(pool, 5, 0).of(example(f"x{i}"))]
    assert all(65 < sampled.count(one.id) < 135 for one in pool)


def test_shots_are_lines_before_the_example() -> None:
    one, two, target = example("a"), example("b"), example("c")
    whole = prepend_shots([one, two], target)
    assert whole.prompt == "What is a? it is a\nWhat is b? it is b\nWhat is c?"
    assert whole.images == (*one.images, *two.images, *target.images)
    assert (whole.id, whole.correct) == (target.id, target.correct)


def test_the_reversed_pair_is_not_a_shot(tmp_path: Path) -> None:
    benchmark = write("relative-size", tmp_path, 12)
    found = add_shots(TASKS["relative-size"], benchmark.data, benchmark.output, Settings(shots=4), benchmark.examples)
    for one, target in zip(found, benchmark.examples, strict=True):
        *before, last = one.prompt.splitlines()
        assert last == target.prompt and len(before) == 4
        assert not any(thing in line for line in before for thing in target.id.split())


def test_shots_of_a_task_without_shots_are_an_error(tmp_path: Path) -> None:
    benchmark = write("raven", tmp_path)
    assert (
        add_shots(TASKS["raven"], benchmark.data, benchmark.output, Settings(), benchmark.examples)
        == benchmark.examples
    )
    with pytest.raises(RecipeError, match="raven has no few-shot examples; use --shots 0"):
        add_shots(TASKS["raven"], benchmark.data, benchmark.output, Settings(shots=1), benchmark.examples)
