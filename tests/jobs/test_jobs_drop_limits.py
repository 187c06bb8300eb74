"""Drop limits: a rule that drops more than its limit gives a warning, or stops the run before the step is complete."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs import weft
from webs import Finished

from jobs.recipes import load
from jobs.step import Context, Outcome, Step, exceeded_limits, run_step
from pipeline.io.store import CONFIG, Manifest, Store
from schemas.errors import RecipeError
from schemas.reasons import BY_CODE
from schemas.recipe import DropLimits
from schemas.tables import STEPS

JUDGED = {"page": 200, "image": 99, "UNSAFE_IMAGE": 1000}


@pytest.mark.parametrize(
    ("rejected", "guard", "rules"),
    [
        ({"EMOJI": 190}, {}, []),  # the bound itself is kept
        ({"EMOJI": 191}, {}, ["EMOJI"]),
        ({"EMOJI": 200}, {"max_dropped_fraction": None}, []),
        ({"EMOJI": 21, "URLS": 20}, {"rules": {"EMOJI": 0.1, "URLS": 0.1}}, ["EMOJI"]),
        ({"EMOJI": 200, "URLS": 200}, {"rules": {"EMOJI": None}}, ["URLS"]),
        ({"EMOJI": 195, "URLS": 200}, {}, ["URLS", "EMOJI"]),  # the worst first
        ({"DNS": 99}, {}, []),  # of 99 images
        ({"DNS": 99}, {"min_items": 99}, ["DNS"]),
        ({"UNSAFE_IMAGE": 99}, {"min_items": 1}, []),  # of 1000, for it judges others than its level does
        ({"SHORT_CAPTION": 500}, {}, []),  # nobody counted captions
        ({}, {}, []),
    ],
)
def test_limits(rejected: dict[str, int], guard: dict[str, Any], rules: list[str]) -> None:
    said = exceeded_limits(JUDGED, rejected, DropLimits(**guard))
    assert [sentence.split()[0] for sentence in said] == rules


def test_the_message_is_complete() -> None:
    assert exceeded_limits({"page": 200}, {"EMOJI": 50}, DropLimits(rules={"EMOJI": 0.2})) == [
        "EMOJI drops 25 % of its input (50 of 200 pages), more than drop_limits.rules.EMOJI=0.2"
    ]
    (said,) = exceeded_limits({"page": 200}, {"EMOJI": 200}, DropLimits())
    assert said.endswith("more than drop_limits.max_dropped_fraction=0.95")


class Dropper:
    """A step that drops nine of ten pages, and counts its runs."""

    def __init__(self, store: Store, resumes: bool = False) -> None:
        self.store, self.runs = store, 0
        self.step = Step(replace(STEPS["filter"], inputs=()), ("filters",), self.work, resumes=resumes)

    def work(self, context: Context) -> Outcome:
        self.runs += 1
        return Outcome({}, {"pages": 100}, {"EMOJI": 900}, {"a": "note"}, judged={"page": 1000})

    def run(self, *assignments: str) -> Manifest:
        return run_step(self.step, Context(None, self.store, load("kosmos1", list(assignments)), ()))  # type: ignore[arg-type]


FAILS = ("drop_limits.action=fail", "drop_limits.max_dropped_fraction=0.8")


def test_a_failed_run_has_no_output_of_the_step_and_may_change_its_recipe(tmp_path: Path) -> None:
    dropper = Dropper(Store(str(tmp_path)))
    with pytest.raises(RecipeError, match=r"filter stops: EMOJI drops 90 %.*drop_limits.rules.RULE=FRACTION"):
        dropper.run(*FAILS)
    assert dropper.store.manifest("measures") is None
    made = dropper.run("filters.gibberish.max_emoji_fraction=0.9")
    assert made.config["filters"]["gibberish"]["max_emoji_fraction"] == 0.9


def test_commits_of_a_stopped_run_are_not_mixed_with_another_recipe(tmp_path: Path) -> None:
    dropper = Dropper(Store(str(tmp_path)), resumes=True)
    with pytest.raises(RecipeError, match="filter stops"):
        dropper.run(*FAILS)
    assert dropper.store.fs.exists(dropper.store.at(CONFIG, "filter.json"))
    with pytest.raises(RecipeError, match="--overwrite"):
        dropper.run("filters.gibberish.max_emoji_fraction=0.9")
    assert dropper.run(*FAILS, "drop_limits.rules.EMOJI=0.9").judged == {"page": 1000}


def test_a_warning_is_recorded_and_other_limits_repeat_no_step(tmp_path: Path) -> None:
    dropper = Dropper(Store(str(tmp_path)))
    made = dropper.run("drop_limits.max_dropped_fraction=0.8")
    assert made.notes["a"] == "note" and made.notes["drop_limits"].startswith("EMOJI drops 90 %")
    assert dropper.run(*FAILS) == made and dropper.runs == 1
    (tmp_path / "other").mkdir()
    silent = Dropper(Store(str(tmp_path / "other"))).run()
    assert "guard" not in silent.notes
    assert silent.digest == made.digest


def test_a_rule_that_does_not_exist(tmp_path: Path) -> None:
    done = weft("run", "-o", str(tmp_path / "out"), "--set", "drop_limits.rules.EMOJIS=0.5", str(tmp_path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "unknown rule EMOJIS (did you mean EMOJI?)" in done.stderr


def test_steps_count_their_inputs(finished: Finished) -> None:
    store = Store(str(finished.output))
    judged = {step: store.manifest(folder).judged for step, folder in (
        ("extract", "pages"), ("filter", "measures"), ("fetch", "images"), ("dedup", "rejections/dedup"),
        ("assemble", "documents"))}  # fmt: skip
    pages, captions, images = (finished.rows(name) for name in ("pages", "captions", "images"))
    extracted = [r for r in finished.rejections if r["step"] == "extract" and r["level"] == "page"]
    assert judged["extract"] == {"page": len(pages) + len(extracted), "caption": len(captions)}
    assert judged["filter"] == {"page": len(pages), "caption": len(captions)}
    assert judged["fetch"] == {"image": len(images)}
    assert judged["dedup"]["image"] == sum(r["status"] == "ok" for r in images)
    assert {(r["rule"], r["level"]) for r in finished.rejections} <= {(c, r.level) for c, r in BY_CODE.items()}
