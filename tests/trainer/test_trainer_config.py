from pathlib import Path

import pytest

from schemas.errors import RecipeError
from trainer.config import load, shipped


@pytest.mark.parametrize("name", [name for name in shipped() if name != "instruct"])
def test_shipped_configurations_load(name: str) -> None:
    assert load(name).name == name


def test_instruct_takes_sizes_from_its_starting_weights() -> None:
    debug = load("debug")
    found = load("instruct", ["data.instructions=[a.jsonl]"], {**debug.model_dump(mode="json"), "start": "HERE"})
    assert (found.name, found.start, found.model) == ("instruct", "HERE", debug.model)
    assert (found.steps, found.optimizer.learning_rate, found.data.tokens_per_step) == (10_000, 2e-5, None)
    assert found.data.sequences is not None and found.data.sequences.caption == 768
    with pytest.raises(RecipeError, match="start from weights: --from CHECKPOINT"):
        load("instruct")


def test_kosmos1_has_the_sizes_of_the_paper() -> None:
    c = load("kosmos1_1b6")
    assert (c.model.layers, c.model.width, c.model.ffn_width, c.model.heads) == (24, 2048, 8192, 32)
    assert (c.data.sequence_length, c.data.tokens_per_step, c.vision.latents) == (2048, 1_200_000, 64)
    assert (c.optimizer.learning_rate, c.optimizer.betas, c.optimizer.warmup_steps) == (2e-4, (0.9, 0.98), 375)


def test_overrides_take_yaml_values() -> None:
    c = load("debug", ["optimizer.learning_rate=1e-4", "vision.model=local-dir:clip", "data.mixture={text: 1}"])
    assert c.optimizer.learning_rate == 1e-4
    assert c.vision.model == "local-dir:clip"
    assert (c.data.mixture.text, c.data.mixture.caption) == (1, 0.5)


def test_a_file_loads_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsteps: 3\nmodel: {layers: 1, width: 8, ffn_width: 8, heads: 1}\n"
                    "data: {sequence_length: 256, tokens_per_step: 9}\noptimizer: {learning_rate: 1}\n")  # fmt: skip
    assert load(str(path)).steps == 3


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("debgu", "seed=1", "did you mean debug?"),
        ("debug", "model.layer=3", "unknown key model.layer (did you mean layers?)"),
        ("debug", "optimizer.learning_rate=-1", "optimizer.learning_rate"),
        ("debug", "seed", "key=value"),
        ("debug", "seed.more=1", "seed is a value"),
        ("debug", "model.heads=3", "model.width 128 must be a multiple"),
        ("debug", "vision.latents=200", "data.sequence_length must be at least 408"),
        ("debug", "data.mixture={text: 0, caption: 0, interleaved: 0}", "data.mixture must give some corpus"),
        ("debug", "name=[", "not YAML"),
        ("debug", "model.layers=1000000000", "model.layers"),
        ("debug", "model.width=1000000000", "model.width"),
        ("debug", "model.heads=1000000000", "model.heads"),
        ("debug", "model={layers: 1024, width: 131072, ffn_width: 1024, heads: 32}", "more than 1,000,000,000,000"),
        ("debug", "model={layers: 1, width: 2, ffn_width: 1, heads: 1, positions: sinusoidal}", "at least 4"),
        ("debug", "vision.tower.layers=1000000000", "vision.tower.layers"),
        ("debug", "vision.tower.heads=3", "vision.tower.width 128 must be a multiple of its heads"),
        ("debug", "vision.tower.patch_size=65", "vision.tower.image_size 64 must be 1 to 512 times its patch_size"),
        ("debug", "vision.tower={image_size: 4096, patch_size: 1}", "1 to 512 times its patch_size"),
        ("debug", "vision.latents=1000000000", "vision.latents"),
        ("debug", "data.sequence_length=1000000000000", "data.sequence_length"),
        ("debug", "data.workers=1000000000", "data.workers"),
        ("debug", "seed=18446744073709551616", "seed"),
        ("debug", "steps=1000000000000", "steps"),
        ("debug", "optimizer.learning_rate=.inf", "finite number"),
        ("debug", "data.mixture.text=.nan", "data.mixture.text"),
    ],
)
def test_a_bad_key_is_named_in_one_line(name: str, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(name, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
