"""Damage to a tokenizer, a checkpoint or exported weights is found by `weft verify` and before they are loaded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from training import finished, launch, train

from pipeline.inspect.verify import verify_output
from schemas.errors import IntegrityError
from trainer import load
from trainer import tokenizer as tokenizers
from trainer.config import TrainConfig

NOT_CHECKED = ("metrics.jsonl", "validation.jsonl")  # logs, which are appended to


@pytest.fixture(scope="module")
def run(data: Path, tiny: Callable[..., TrainConfig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run's folder with a checkpoint, weights and a tokenizer."""
    folder = tmp_path_factory.mktemp("trained")
    train(tiny("steps=2"), data, folder / "checkpoints")
    shutil.copytree(data / "tokenizer", folder / "tokenizer")
    return folder


@pytest.fixture
def output(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "out"))


def files(output: Path) -> list[Path]:
    found = sorted(path for path in output.rglob("*") if path.is_file() and path.name not in NOT_CHECKED)
    return [path for path in found if "tensorboard" not in path.parts]


def flip(path: Path, random: Random) -> bytes:
    """Flip a bit of a file; return its original content."""
    data = path.read_bytes()
    place = random.randrange(len(data))
    path.write_bytes(data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :])
    return data


@pytest.mark.parametrize("deep", [True, False])
def test_each_flipped_bit_is_named(output: Path, deep: bool) -> None:
    report = verify_output(str(output), deep, 1)
    assert (report.defects, report.notes) == ([], [])
    random, names = Random(5), {path.name for path in files(output)}
    assert {"tokenizer.model", "tokenizer.json", "state.json", "model.safetensors", "config.yaml", "sums.json"} <= names
    for _ in range(3):
        for path in files(output):
            before = flip(path, random)
            named = {defect.file for defect in verify_output(str(output), deep, 1).defects}
            path.write_bytes(before)
            assert str(path.relative_to(output)) in named


@pytest.mark.slow
def test_each_file_that_two_processes_saved_has_a_checksum(
    data: Path, tiny: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    with launch(tiny("steps=2", "checkpoint.every_steps=1"), data, output, "--nproc-per-node=2") as process:
        assert finished(process) == 0
    for checkpoint in sorted(output.glob("step-*")):
        parts = {path.name[:11] for path in checkpoint.glob("*.safetensors")}
        assert parts == {"shard-00001", "shard-00002"}, "each process saves its part"
    assert verify_output(str(output), False, 1).defects == []
    random = Random(6)
    for path in files(output):
        before = flip(path, random)
        named = {defect.file for defect in verify_output(str(output), False, 1).defects}
        path.write_bytes(before)
        assert named == {str(path.relative_to(output))}


@pytest.mark.parametrize("name", ["checkpoints/step-00000002", "checkpoints/model", "tokenizer", "checkpoints"])
def test_a_single_folder_is_verified(output: Path, name: str) -> None:
    assert verify_output(str(output / name), False, 1).defects == []
    path = max(files(output / name), key=lambda p: p.stat().st_size)
    flip(path, Random(1))
    assert [d.file for d in verify_output(str(output / name), False, 1).defects] == [
        str(path.relative_to(output / name))
    ]


def test_damaged_files_are_not_loaded(output: Path, data: Path, tiny: Callable[..., TrainConfig]) -> None:
    checkpoints = output / "checkpoints"
    checkpoint = next(checkpoints.glob("step-*"))
    flip(next(checkpoint.glob("*.safetensors")), Random(1))
    shutil.rmtree(checkpoints / "model")
    with pytest.raises(IntegrityError, match=r"has changed since it was written.*remove that folder"):
        train(tiny("steps=2"), data, checkpoints)
    with pytest.raises(IntegrityError, match=r"has changed since it was written.*safetensors"):
        load.load(str(checkpoint), str(data / "tokenizer"))
    flip(output / "tokenizer" / "tokenizer.json", Random(1))
    with pytest.raises(IntegrityError, match="tokenizer"):
        tokenizers.load(str(output / "tokenizer"))


def test_weights_without_checksums_are_loaded(output: Path) -> None:
    (output / "checkpoints" / "model" / "sums.json").unlink()
    load.load(str(output / "checkpoints" / "model"))
    assert "no checksums" in verify_output(str(output), False, 1).notes[0]
