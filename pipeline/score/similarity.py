"""Turn embeddings into scores: cosine similarity, quantiles, and classifier heads for unsafe images."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError
from schemas.tables import SAFETY, SCORES, Batches

DECIMALS = 5  # the rounding error is below 1e-5
MAX_ROWS = 4096  # of a batch: a page with 500 images and 100 blocks has 50,000 scores

_OF_TEXT = ("block", "sentence", "text_id")


def page_scores(batches: Batches) -> Batches:
    """Score all images of each page with all its texts: batches of SCORES.

    Args: batches have `page_id`; `images`, a list of image_id and embedding; and `texts`, a list of block, sentence,
    text_id and embedding, with an item per piece of a text; the pieces of one text are consecutive.
    """
    for batch in batches:
        for row in range(batch.num_rows):
            images, texts = (batch[name].slice(row, 1).flatten() for name in ("images", "texts"))
            places = np.stack([texts.field(name).to_numpy() for name in ("block", "sentence")])
            firsts = np.flatnonzero(np.any(np.diff(places, prepend=-2), axis=0))
            cosines = _matrix(images.field("embedding")) @ _matrix(texts.field("embedding")).T
            best = np.maximum.reduceat(cosines, firsts, axis=1)
            of_image, of_text = (np.repeat(np.arange(best.shape[0]), best.shape[1]), np.tile(firsts, best.shape[0]))
            columns = {name: texts.field(name).take(pa.array(of_text)) for name in _OF_TEXT}
            columns["image_id"] = images.field("image_id").take(pa.array(of_image))
            columns["page_id"] = pa.repeat(batch["page_id"][row], best.size)
            columns["score"] = _rounded(best.ravel())
            yield from pa.table(columns).select(SCORES.schema.names).to_batches(MAX_ROWS)


def pair_scores(batches: Batches) -> Batches:
    """Replace columns image_embedding (d) and text_embeddings (one or more of d, by pieces of the text) by score."""
    for batch in batches:
        kept = batch.drop_columns(["image_embedding", "text_embeddings"])
        yield kept.append_column("score", _of_pairs(batch["image_embedding"], batch["text_embeddings"]))


def _of_pairs(images: pa.ListArray, texts: pa.ListArray) -> pa.Array:
    if not len(images):
        return pa.array([], pa.float32())
    num_pieces = pc.list_value_length(texts).to_numpy()
    cosines = np.einsum("nd,nd->n", np.repeat(_matrix(images), num_pieces, axis=0), _matrix(texts.flatten()))
    return _rounded(np.maximum.reduceat(cosines, np.cumsum(num_pieces) - num_pieces))


def _matrix(vectors: pa.ListArray) -> np.ndarray:
    """Return n lists of d as n x d, in double precision, so that sums of products do not add rounding errors."""
    values: np.ndarray = vectors.flatten().to_numpy().reshape(len(vectors), -1).astype(np.float64)
    return values


def _rounded(cosines: np.ndarray) -> pa.Array:
    return pa.array(np.round(cosines, DECIMALS).astype(np.float32))


def lowest_top_score(counts: Mapping[float, int], fraction: float) -> float | None:
    """Return the lowest score among the best ceil(fraction * n) of n scores; None keeps nothing.

    Equal scores are kept together, so slightly more than the fraction may be kept.
    Args: counts maps each score to its number of occurrences.
    """
    left = ceil(Fraction(repr(fraction)) * sum(counts.values()))  # exact: .7 of 10 are 7, although .7 * 10 > 7
    for score in sorted(counts, reverse=True):
        if left <= 0:
            break
        left -= counts[score]
        lowest = score
        if left <= 0:
            return lowest
    return None


_LAYER = re.compile(r"(?:.*\.)?(\d+)\.(weight|bias)")


@dataclass(frozen=True)
class Head:
    """Layers of an MLP in order: weights, outputs x inputs, and biases."""

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Classify embeddings: n x d to n numbers from 0 (safe) to 1."""
        values = embeddings.astype(np.float64)
        for number, (weight, bias) in enumerate(self.layers):
            values = (np.maximum(values, 0) if number else values) @ weight.T + bias
        scores: np.ndarray = 1 / (1 + np.exp(-np.clip(values[:, 0], -700, 700)))  # exp would overflow
        return scores


def load(path: str, width: int) -> Head:
    """Load a head for embeddings of a width.

    Raises: RecipeError when the file cannot be read, or its layers do not fit each other, the width or one output.
    """
    from safetensors.numpy import load_file

    try:
        tensors = {name: tensor.astype(np.float64) for name, tensor in load_file(path).items()}
    except Exception as error:  # safetensors and file systems raise errors of their own
        raise RecipeError(f"clip.safety={path} cannot be read as safetensors ({error})") from error
    found: dict[int, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            raise RecipeError(f"clip.safety={path}: tensor {name} must be named NUMBER.weight or NUMBER.bias")
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
            raise RecipeError(f"clip.safety={path}: {what} has {weight.shape[1]} inputs, but gets {width} values")
        layers.append((weight, bias))
        width = len(bias)
    if width != 1 or not layers:
        raise RecipeError(f"clip.safety={path}: the last layer has {width} outputs, not one")
    return Head(tuple(layers))


def classify(head: Head) -> Callable[[Batches], Batches]:
    """Return the function from batches of image_id and embedding to batches of SAFETY; no score without embedding."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            embedded = batch["embedding"].drop_null()
            scores = iter(())
            if len(embedded):
                vectors = embedded.flatten().to_numpy().reshape(len(embedded), -1)
                scores = iter(np.round(head(vectors), DECIMALS).tolist())
            unsafe = [next(scores) if is_valid else None for is_valid in batch["embedding"].is_valid().to_pylist()]
            columns = [batch["image_id"], pa.array(unsafe, pa.float32())]
            yield pa.RecordBatch.from_arrays(columns, schema=SAFETY.schema)

    return run
