"""A head on CLIP's embeddings that tells unsafe images: linear, or a perceptron of several layers.

Its weights are a safetensors file as PyTorch names the layers of an nn.Sequential: `0.weight`, `0.bias`, `2.weight`
and so on; what stands before the number does not matter. Between the layers stands a ReLU, and a sigmoid after the
last, whose one output is how unsafe the image is.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.score.similarity import DECIMALS
from schemas.errors import RecipeError
from schemas.tables import SAFETY

_LAYER = re.compile(r"(?:.*\.)?(\d+)\.(weight|bias)")
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Head:
    """Layers in their order: weights of outputs x inputs, and biases."""

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Judge embeddings: n x d to n numbers from 0 (safe) to 1."""
        values = embeddings.astype(np.float64)
        for number, (weight, bias) in enumerate(self.layers):
            values = (np.maximum(values, 0) if number else values) @ weight.T + bias
        judged: np.ndarray = 1 / (1 + np.exp(-np.clip(values[:, 0], -700, 700)))  # beyond, exp overflows
        return judged


def load(path: str, width: int) -> Head:
    """Load a head for embeddings of a width.

    Raises: RecipeError when the file cannot be read, or its layers do not fit together, the embeddings or one output.
    """
    from safetensors.numpy import load_file

    try:
        tensors = {name: tensor.astype(np.float64) for name, tensor in load_file(path).items()}
    except Exception as error:  # safetensors raises its own, and whatever the file system does
        raise RecipeError(f"clip.safety={path} cannot be read as safetensors ({error})") from error
    found: dict[int, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            raise RecipeError(f"clip.safety={path}: tensor {name} is neither NUMBER.weight nor NUMBER.bias")
        found.setdefault(int(match[1]), {})[match[2]] = tensor
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    for number, layer in sorted(found.items()):
        weight, bias = layer.get("weight"), layer.get("bias")
        if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise RecipeError(
                f"clip.safety={path}: layer {number} needs a weight (outputs x inputs) and a bias (outputs)"
            )
        if weight.shape[1] != width:
            what = f"layer {number}" if layers else "its first layer"
            raise RecipeError(f"clip.safety={path}: {what} takes {weight.shape[1]} numbers and is given {width}")
        layers.append((weight, bias))
        width = len(bias)
    if width != 1 or not layers:
        raise RecipeError(f"clip.safety={path}: the last layer has {width} outputs, not one")
    return Head(tuple(layers))


def judge(head: Head) -> Callable[[Batches], Batches]:
    """Return the function from batches of image_id and embedding to batches of SAFETY; no embedding, no verdict."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            embedded = batch["embedding"].drop_null()
            judged = iter(())
            if len(embedded):
                vectors = embedded.flatten().to_numpy().reshape(len(embedded), -1)
                judged = iter(np.round(head(vectors), DECIMALS).tolist())
            unsafe = [next(judged) if given else None for given in batch["embedding"].is_valid().to_pylist()]
            columns = [batch["image_id"], pa.array(unsafe, pa.float32())]
            yield pa.RecordBatch.from_arrays(columns, schema=SAFETY.schema)

    return run
