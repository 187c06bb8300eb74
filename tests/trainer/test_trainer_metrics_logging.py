"""Metrics of a run: FLOPs by hand, metrics of steps, loggers, validation."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from shardwriter import text_sample, write_shards
from training import train

from schemas.errors import MissingError, RecipeError
from schemas.shards import VALIDATION
from trainer import metrics
from trainer.config import TrainConfig, load
from trainer.metrics import (
    FOLDER,
    Flops,
    VisionFlops,
    WeightsAndBiases,
    decoder_per_token,
    named_peak,
    vision_per_image,
)

Config = Callable[..., TrainConfig]
VIT_L = VisionFlops(layers=24, width=1024, mlp_width=4096, tokens=257, patch_values=588, trainable_layers=0)


def test_flops_of_kosmos1_equal_those_by_hand() -> None:
    config = load("kosmos1_1b6")
    whole, half = (decoder_per_token(config.model, 2048, 64_128, causal) for causal in (False, True))
    assert (round(whole / 1e9, 2), round(half / 1e9, 2)) == (9.24, 8.64)
    assert round(vision_per_image(VIT_L) / 1e9) == 162
    last = vision_per_image(dataclasses.replace(VIT_L, trainable_layers=1)) - vision_per_image(VIT_L)
    assert last == pytest.approx(2 * 162e9 / 24, rel=0.01)


def test_gpus_are_known_by_name() -> None:
    assert named_peak("NVIDIA H100 80GB HBM3") == named_peak("NVIDIA H200") == 989e12
    assert named_peak("NVIDIA H100 PCIe") == 756e12
    assert named_peak("NVIDIA L40S") == 362e12
    assert named_peak("GeForce 6800") is None


@pytest.fixture(scope="module")
def logged(data: Path, tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("logged")
    train(tiny("steps=3", "watch={tensorboard: true, peak_flops: 1e9}"), data, output)
    return output


def test_metrics_of_a_step(logged: Path, tiny: Config) -> None:
    for m in metrics.read(logged):
        assert 0 <= m.wait_seconds < m.seconds
        assert m.peak_gpu_bytes == 0
        assert 50e6 < m.peak_rss_bytes < 1e11
        assert m.tokens_per_second == sum(m.num_tokens.values()) / m.seconds
        assert m.mfu is not None
        by_hand = Flops(per_token=m.mfu * m.seconds * 1e9 / sum(m.num_tokens.values()), per_image=0.0)
        assert by_hand.utilisation(m, 1e9) == pytest.approx(m.mfu)
        assert decoder_per_token(tiny().model, 64, 512) < by_hand.per_token  # the vision encoder counts


def test_tensorboard_reads_the_event_files(logged: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logged / FOLDER)).Reload()
    scalars = [(e.step, e.value) for e in events.Scalars("loss/text")]
    assert scalars == [(m.step, pytest.approx(m.loss["text"])) for m in metrics.read(logged)]
    assert {"speed/mfu", "speed/wait_fraction", "optimizer/gradient_norm"} <= set(events.Tags()["scalars"])


def test_a_cpu_has_no_mfu(data: Path, tiny: Config, tmp_path: Path) -> None:
    train(tiny("steps=1"), data, tmp_path)
    assert metrics.read(tmp_path)[0].mfu is None
    assert "tensorboard" not in {p.name for p in tmp_path.iterdir()}


def test_a_missing_wandb_package_is_an_error(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingError, match="pip install wandb"):
        WeightsAndBiases(tmp_path, tiny("watch.wandb=mine"))


@pytest.mark.slow
def test_wandb_writes_an_offline_run(data: Path, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    train(tiny("steps=2", "watch.wandb=mine"), data, tmp_path)
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_validation_loss_is_of_held_out_samples(data: Path, tiny: Config, tmp_path: Path) -> None:
    held_out = tmp_path / "held_out"
    shutil.copytree(data, held_out)
    known = [text_sample(f"v{i}", "The old harbour looks over the sea. Nobody knows!") for i in range(4)]
    write_shards(held_out / "shards", {"text": known}, split=VALIDATION)
    train(tiny("steps=6", "watch.validate_every_steps=2"), held_out, tmp_path / "out")
    lines = (tmp_path / "out" / metrics.VALIDATION_FILE).read_text().splitlines()
    validations = {line["step"]: line["loss"] for line in map(json.loads, lines)}
    assert list(validations) == [2, 4, 6]
    assert all(set(loss) == {"text"} for loss in validations.values())
    assert validations[6]["text"] < validations[2]["text"]
    train(tiny("steps=6"), held_out, tmp_path / "without")
    with_it, without = metrics.read(tmp_path / "out"), metrics.read(tmp_path / "without")
    assert [m.loss for m in with_it] == [m.loss for m in without]  # validation does not train


def test_validation_without_held_out_shards_is_an_error(data: Path, tiny: Config, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="holds no validation split"):
        train(tiny("watch.validate_every_steps=2"), data, tmp_path)
