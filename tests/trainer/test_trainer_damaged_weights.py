"""Damaged weights, checkpoints and tokenizers give one line, whatever their files contain."""

import hashlib
import json
import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from training import train

from schemas.errors import WeftError
from schemas.integrity import seal, unseal
from trainer import load
from trainer import tokenizer as tokenizers
from trainer.config import TrainConfig

Config = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def trained(data: Path, tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder: exported weights, and a checkpoint after each of two steps."""
    folder = tmp_path_factory.mktemp("trained") / "checkpoints"
    train(tiny("steps=2", "checkpoint.every_steps=1"), data, folder)
    return folder


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(trained / "model", tmp_path / "model"))
    (folder / "sums.json").unlink()  # so that the values are checked, as in a folder that other software wrote
    return folder


def one_line(place: Path, tokenizer: Path | None = None) -> str:
    """Load; return the error, which must be one line."""
    with pytest.raises(WeftError) as caught:
        load.load(str(place), None if tokenizer is None else str(tokenizer))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1000
    return message


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_bytes(b""), "is damaged"),
        (lambda p: p.write_bytes(p.read_bytes()[:-100]), "is damaged"),
        (lambda p: p.write_bytes(p.read_bytes()[:50]), "is damaged"),
        (lambda p: p.write_bytes((2**60).to_bytes(8, "little") + p.read_bytes()[8:]), "is damaged"),
        (lambda p: p.write_bytes((9).to_bytes(8, "little") + p.read_bytes()[8:]), "is damaged"),
        (lambda p: p.write_bytes((10**4).to_bytes(8, "little") + b"[" * 10**4), "is damaged"),
        (weights(lambda t: t.pop(next(iter(t)))), "not of its configuration"),
        (weights(lambda t: t.update(extra=torch.ones(1))), "not of its configuration"),
        (weights(lambda t: t.update({k: v[:1].clone() for k, v in t.items()})), "not of its configuration"),
        (weights(lambda t: t.update({k: v.int() for k, v in t.items()})), "not floating-point numbers"),
    ],
)
def test_damaged_weights_give_one_line(damage: Callable[[Path], Any], message: str, model: Path) -> None:
    damage(model / "model.safetensors")
    assert message in one_line(model)


@pytest.mark.parametrize("layers", [500, 10**9])
def test_a_configuration_larger_than_the_weights_allocates_no_memory(
    layers: int, trained: Path, data: Path, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged or hostile folder is rejected by its sizes, before its tensors are allocated."""
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    for path in folder.rglob("sums.json"):
        path.unlink()
    config = yaml.safe_load((folder / "model/config.yaml").read_text())
    config["model"] |= {"layers": layers, "width": 2**14, "heads": 2, "ffn_width": 2**12}
    (folder / "model/config.yaml").write_text(yaml.safe_dump(config))
    checkpoint = folder / "step-00000002"
    state, _ = unseal((checkpoint / "state.json").read_bytes())
    (checkpoint / "state.json").write_bytes(seal({**state, "config": config}))
    monkeypatch.setattr(load, "Kosmos", lambda *_, **__: pytest.fail("the model is made"))
    for place in (folder / "model", checkpoint):
        message = one_line(place, data / "tokenizer")
        assert (
            "parameters, and the files of the weights have"
            if layers == 500
            else "model.layers: Input should be less than"
        ) in message


def test_a_model_that_does_not_fit_into_memory_gives_one_line(data: Path, tiny: Config, tmp_path: Path) -> None:
    config = tiny("model.width=131072", "model.vocabulary_multiple=65536")  # the embedding alone has 2**35 bytes
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**35, limits[1]))
    try:
        with pytest.raises(WeftError, match="does not fit into the memory of this machine"):
            train(config, data, tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(number: float, model: Path, trained: Path, tmp_path: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    name = sorted(name for name, tensor in tensors.items() if tensor.dim() == 2)[0]
    tensors[name][0, 0] = number
    save_file(tensors, model / "model.safetensors")
    message = one_line(model)
    assert f"1 of {tensors[name].numel()} numbers of {name} are NaN or infinite" in message and str(model) in message


def test_a_run_does_not_resume_from_a_checkpoint_with_nan(
    data: Path, tiny: Config, trained: Path, tmp_path: Path
) -> None:
    output = Path(shutil.copytree(trained, tmp_path / "run"))
    (output / "step-00000002" / "sums.json").unlink()
    (path,) = (output / "step-00000002").glob("*.safetensors")
    tensors, metadata = load_file(path), _metadata(path)
    name = next(name for name in tensors if name.startswith("model."))
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, path, metadata)
    with pytest.raises(WeftError, match=rf"numbers of {name} are NaN"):
        train(tiny("steps=2", "checkpoint.every_steps=1"), data, output)


def _metadata(path: Path) -> dict[str, str]:
    data = path.read_bytes()
    found: dict[str, str] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return found


def forged(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change a tokenizer's model, and update its description."""

    def damage(folder: Path) -> None:
        data = change((folder / "tokenizer.model").read_bytes())
        (folder / "tokenizer.model").write_bytes(data)
        description, _ = unseal((folder / "tokenizer.json").read_bytes())
        (folder / "tokenizer.json").write_bytes(seal({**description, "sha256": hashlib.sha256(data).hexdigest()}))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: (f / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "BPE"}}'),
            "is not of a tok",
        ),
        (lambda f: (f / "tokenizer.json").write_text(""), "is empty"),
        (lambda f: (f / "tokenizer.json").write_text("[" * 50_000), "nested too deeply"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer in"),
        (lambda f: (f / "tokenizer.model").unlink(), "cannot be read"),
        (lambda f: (f / "tokenizer.model").write_bytes(b"other"), "is not what tokenizer.json describes"),
        (forged(lambda data: b""), "tokenizer"),
        (forged(lambda data: b"no model at all"), "no SentencePiece model"),
        (forged(lambda data: data[: len(data) // 2]), "tokenizer"),
    ],
)
def test_a_damaged_tokenizer_gives_one_line(damage: Callable[[Path], Any], message: str, model: Path) -> None:
    damage(model / "tokenizer")
    with pytest.raises(WeftError) as caught:
        tokenizers.load(str(model / "tokenizer"))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "state", [b"", b"{}", b"[]", b"\xff", b"[" * 50_000, b'{"step": 2, "num_bad_steps": 0, "config": {}, "loader": 7}']
)
def test_a_checkpoint_with_a_damaged_state_gives_one_line(
    state: bytes, data: Path, tiny: Config, trained: Path, tmp_path: Path
) -> None:
    output = Path(shutil.copytree(trained, tmp_path / "run"))
    shutil.rmtree(output / "model")
    (output / "step-00000002/state.json").write_bytes(state)
    assert "state.json" in one_line(output)
    with pytest.raises(WeftError, match=r"state\.json"):
        train(tiny("steps=2", "checkpoint.every_steps=1"), data, output)


def test_a_folder_that_is_no_checkpoint_is_ignored(data: Path, tiny: Config, trained: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(trained, tmp_path / "run"))
    (output / "step-final").mkdir()
    assert train(tiny("steps=2", "checkpoint.every_steps=1"), data, output).resumed_at == 2


def test_mutated_files_of_a_run_raise_no_other_error(trained: Path, data: Path, tmp_path: Path) -> None:
    """150 mutants: exported weights and their configuration, a checkpoint's tensors and state, and a tokenizer."""
    rng = random.Random(20)
    checkpoint = trained / "step-00000002"
    files = [trained / "model/model.safetensors", trained / "model/config.yaml", checkpoint / "state.json",
             next(checkpoint.glob("*.safetensors")), data / "tokenizer/tokenizer.json",
             data / "tokenizer/tokenizer.model"]  # fmt: skip
    for number in range(150):
        source = files[number % len(files)]
        mutated = bytearray(source.read_bytes())
        length = min(len(mutated), 6000)  # of tensors only the header, since their values are arbitrary
        for _ in range(rng.choice((1, 2, 5))):
            mutated[rng.randrange(length)] = rng.choice((0, 0x22, 0x2D, 0x39, 0x5B, rng.randrange(256)))
        if rng.random() < 0.2:
            del mutated[rng.randrange(len(mutated)) :]
        folder = tmp_path / "mutant"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(trained.parent, folder, ignore=shutil.ignore_patterns("step-00000001"))
        if source.parent.name == "tokenizer":
            shutil.copytree(data / "tokenizer", folder / "tokenizer")
            (folder / "tokenizer" / source.name).write_bytes(mutated)
            if source.suffix == ".model":
                forged(lambda data: data)(folder / "tokenizer")
        else:
            (folder / source.relative_to(trained.parent)).write_bytes(mutated)
        place = folder / "checkpoints/model" if source.parent.name == "model" else folder / "checkpoints/step-00000002"
        tokenizer = folder / "tokenizer" if source.parent.name == "tokenizer" else data / "tokenizer"
        try:
            load.load(str(place), str(tokenizer))
        except WeftError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000, (source, bytes(mutated[:200]))
