"""`--from` and `--until`: two runs of a part of the steps make what one run of all steps makes."""

from pathlib import Path
from typing import get_args

import pytest
from runs import run_arguments, sums, undisturbed, weft
from webs import Web

from jobs.run import STEPS, select_steps
from schemas import tables
from schemas.errors import RecipeError


def test_the_names_of_steps_are_those_of_the_table() -> None:
    assert get_args(tables.StepName) == tuple(tables.STEPS) == tuple(step.name for step in STEPS)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, None, ["extract", "filter", "fetch", "dedup", "score", "assemble", "shard"]),
        (None, "filter", ["extract", "filter"]),
        ("score", None, ["score", "assemble", "shard"]),
        ("score", "score", ["score"]),
    ],
)
def test_steps_are_selected(first: str | None, last: str | None, expected: list[str]) -> None:
    assert [step.name for step in select_steps(first, last)] == expected


def test_no_step_is_left() -> None:
    with pytest.raises(RecipeError, match="--until extract is before --from filter: no step is left"):
        select_steps("filter", "extract")


@pytest.mark.slow
def test_parts_of_a_run_make_the_same_shards(small_web: Web, spark: object, tmp_path: Path) -> None:
    expected = undisturbed(small_web, tmp_path / "whole")
    output = tmp_path / "parts"
    first = weft(*run_arguments(small_web, output, "--until", "dedup"))
    assert first.returncode == 0, first.stderr
    assert not (output / "scores").exists()
    rest = ["run", "--from", "score", "--output", str(output), "--set", f"fetch.proxy={small_web.proxy}"]
    for options in (["--until", "score"], ["--until", "shard"]):
        done = weft(*rest, *options)
        assert done.returncode == 0, done.stderr
    assert sums(output) == expected
