"""Former names of recipe keys, reasons, statuses and tables are read as the present ones, and one line says so."""

from functools import reduce
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.recipes import load, names
from pipeline.io.tables import current_values
from schemas import renames
from schemas.errors import RecipeError
from schemas.reasons import CODES
from schemas.recipe import Recipe
from schemas.tables import IMAGE_STATUS, NEAR_DUPLICATE_IMAGES, PAGES


def knows(key: str) -> bool:
    *sections, last = key.split(".")
    model = reduce(lambda model, name: model and model.model_fields.get(name) and model.model_fields[name].annotation,
                   sections, Recipe)  # fmt: skip
    return model is not None and last in model.model_fields


@pytest.mark.parametrize(("old", "new"), renames.RECIPE_KEYS.items())
def test_the_recipe_has_the_new_key_only(old: str, new: str) -> None:
    assert knows(new) and not knows(old)


def test_other_names_are_the_present_ones() -> None:
    assert CODES.issuperset(renames.REASONS.values()) and CODES.isdisjoint(renames.REASONS)
    assert set(IMAGE_STATUS).issuperset(renames.STATUSES.values()) and set(IMAGE_STATUS).isdisjoint(renames.STATUSES)
    assert list(renames.TABLES) == [NEAR_DUPLICATE_IMAGES.name]
    assert renames.COLUMNS.keys() <= {c.name for c in PAGES.columns}


@pytest.mark.parametrize("name", names())
def test_shipped_recipes_have_no_former_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    load(name)
    assert capsys.readouterr().err == ""


def test_a_recipe_file_with_former_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "extends: kosmos1\nextract: {gates: {min_words: 7, need_image: true}}\ncorpora: [caption]\n"
        "guard: {min_judged: 3, rules: {CUT_LINES: 0.5}}\ndedup: {near_text: {bands: 3}}\n"
    )
    recipe = load(str(file))
    before = load("kosmos1")
    assert recipe.extract.prefilter == before.extract.prefilter.model_copy(
        update={"min_words": 7, "require_image": True}
    )
    assert (recipe.drop_limits.min_items, recipe.drop_limits.rules) == (3, {"ELLIPSIS_LINES": 0.5})
    assert recipe.dedup.minhash == before.dedup.minhash.model_copy(update={"bands": 3})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"weft: recipe {file}: extract.gates is now extract.prefilter; ")
    assert "CUT_LINES is now ELLIPSIS_LINES" in line


def test_assignments_with_former_names_win_over_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["extract.gates.min_words=3", "guard.rules.HASHES=0.25", "dedup.near_text.enabled=true", "seed=4"]
    recipe = load("kosmos1", settings)
    assert recipe.extract.prefilter.min_words == 3
    assert recipe.drop_limits.rules == {"SYMBOL_RATIO": 0.25}
    assert recipe.dedup.minhash.enabled and recipe.seed == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("weft: --set: extract.gates.min_words is now extract.prefilter.min_words; ")


def test_an_unknown_key_is_an_error_still() -> None:
    with pytest.raises(RecipeError, match=r"unknown key extract\.prefilter\.min_wrods"):
        load("kosmos1", ["extract.gates.min_wrods=3"])


def test_a_whole_recipe_of_an_old_output_is_read() -> None:
    values = load("kosmos1").model_dump(mode="json")
    old = {**values, "guard": values["drop_limits"], "extract": {**values["extract"]}}
    del old["drop_limits"]
    old["extract"]["gates"] = old["extract"].pop("prefilter")
    assert Recipe.model_validate(old) == load("kosmos1")
    assert "gates" in old["extract"], "what is read is left as it was"


def test_counts_and_rows_have_present_names() -> None:
    assert renames.current_counts({"CUT_LINES": 2, "ELLIPSIS_LINES": 3, "DNS": 1}, renames.REASONS) == {
        "ELLIPSIS_LINES": 5,
        "DNS": 1,
    }
    rows = pa.record_batch({"rule": ["DIRECTIVE", None, "DNS"], "status": ["aspect", "ok", None], "n": [1, 2, 3]})
    assert current_values(rows).to_pydict() == {
        "rule": ["OPT_OUT", None, "DNS"],
        "status": ["aspect_ratio", "ok", None],
        "n": [1, 2, 3],
    }
