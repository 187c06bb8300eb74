"""The classifier of unsafe images: PyTorch's own layers on the same weights, and files that are no classifier."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from pipeline.score.similarity import classify, load
from schemas.errors import RecipeError

WIDTH = 8


def saved(folder: Path, tensors: dict[str, torch.Tensor]) -> str:
    path = folder / "head.safetensors"
    save_file(tensors, path)
    return str(path)


@pytest.mark.parametrize("widths", [(WIDTH, 1), (WIDTH, 16, 1), (WIDTH, 16, 4, 1)])
def test_it_is_what_pytorch_makes_of_the_same_layers(widths: tuple[int, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.Dropout(), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1]).eval()
    path = saved(tmp_path, {f"layers.{name}": t for name, t in model.state_dict().items()})
    embeddings = torch.randn(20, WIDTH)
    wanted = torch.sigmoid(model(embeddings))[:, 0].detach().numpy()
    assert load(path, WIDTH)(embeddings.numpy()) == pytest.approx(wanted, abs=1e-6)


def test_layers_follow_by_their_number_not_their_name(tmp_path: Path) -> None:
    tensors = {"2.weight": torch.full((1, 1), -3.0), "2.bias": torch.zeros(1)}
    tensors |= {"10.weight": torch.full((1, 1), 2.0), "10.bias": torch.ones(1)}
    head = load(saved(tmp_path, tensors), 1)
    assert head(np.array([[-1.0], [1.0]])) == pytest.approx([1 / (1 + np.exp(-7)), 1 / (1 + np.exp(-1))])


def test_an_image_without_embedding_has_no_verdict(tmp_path: Path) -> None:
    head = load(saved(tmp_path, {"0.weight": torch.ones(1, 2), "0.bias": torch.zeros(1)}), 2)
    rows = {"image_id": ["a", "b", "c"], "embedding": [[1.0, 1.0], None, [-1.0, 1.0]]}
    schema = pa.schema({"image_id": pa.string(), "embedding": pa.list_(pa.float32())})
    batches = [pa.RecordBatch.from_pydict(rows, schema=schema)]
    batches += [batches[0].slice(1, 1), batches[0].slice(0, 0)]
    found = [b.to_pylist() for b in classify(head)(iter(batches))]
    assert found[0] == [
        {"image_id": "a", "unsafe": pytest.approx(0.8808, abs=1e-5)},
        {"image_id": "b", "unsafe": None},
        {"image_id": "c", "unsafe": 0.5},
    ]
    assert found[1:] == [[{"image_id": "b", "unsafe": None}], []]


ONE = {"0.weight": torch.ones(1, WIDTH), "0.bias": torch.zeros(1)}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "outputs, not one"),
        ({"0.weight": torch.ones(1, WIDTH)}, "layer 0 needs"),
        ({"0.weight": torch.ones(2, WIDTH), "0.bias": torch.zeros(2)}, "has 2 outputs"),
        ({"0.weight": torch.ones(1, 5), "0.bias": torch.zeros(1)}, "its first layer has 5 inputs, but gets 8 values"),
        ({**ONE, "1.weight": torch.ones(1, 4), "1.bias": torch.zeros(1)}, "layer 1 has 4 inputs, but gets 1 values"),
        ({"head": torch.ones(1)}, "tensor head"),
    ],
)
def test_what_is_no_classifier(tensors: dict[str, torch.Tensor], words: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=words):
        load(saved(tmp_path, tensors), WIDTH)


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "head.pt").write_bytes(b"\x80\x04pickle")
    for path in (tmp_path / "head.pt", tmp_path / "none"):
        with pytest.raises(RecipeError, match="cannot be read as safetensors"):
            load(str(path), WIDTH)
