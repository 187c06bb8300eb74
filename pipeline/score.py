"""Embed images and texts by CLIP, through open_clip's own loader.

Torch is imported where it computes: it takes longer than all else together, and most commands never score.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from PIL import Image

if TYPE_CHECKING:
    import torch

from schemas.errors import RecipeError
from schemas.recipe import Clip

EMBEDDING = pa.list_(pa.float32())
EMBEDDED = pa.schema([pa.field("id", pa.string()), pa.field("embedding", EMBEDDING)])


@dataclass(frozen=True)
class Encoder:
    """A CLIP in evaluation mode. Embeddings are of length 1."""

    model: Any
    preprocess: Callable[[Image.Image], "torch.Tensor"]
    tokenize: Callable[[list[str]], "torch.Tensor"]
    batch_size: int

    def images(self, pictures: list[bytes]) -> np.ndarray:
        """Embed encoded images: n of them to n x d, float32."""
        import torch

        pixels = [self.preprocess(Image.open(io.BytesIO(p)).convert("RGB")) for p in pictures]
        return self._run(self.model.encode_image, torch.stack(pixels))

    def texts(self, texts: list[str]) -> np.ndarray:
        """Embed texts, each cut at the model's context length: n of them to n x d, float32."""
        return self._run(self.model.encode_text, self.tokenize(texts))

    def _run(self, encode: Callable[..., "torch.Tensor"], inputs: "torch.Tensor") -> np.ndarray:
        import torch

        # Always a full batch: kernels are chosen by the shape, and a row's last bits must not depend on how many
        # other rows happen to lie in its partition.
        num = len(inputs)
        full = torch.cat([inputs, inputs[:1].expand(self.batch_size - num, *inputs.shape[1:])])
        with torch.inference_mode():
            embedded: np.ndarray = encode(full, normalize=True)[:num].float().numpy()
        return embedded


@cache
def load(config: Clip) -> Encoder:
    """Load a model once in a process.

    Raises: RecipeError when open_clip does not know the model or cannot find its weights.
    """
    import open_clip
    import torch

    torch.set_num_threads(1)
    local = config.model.startswith("local-dir:")
    if not local and config.pretrained is None:
        raise RecipeError("clip.pretrained is not set: name an open_clip tag or the path of a checkpoint")
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(config.model, config.pretrained)
        tokenizer = open_clip.get_tokenizer(config.model)
    except (OSError, RuntimeError, ValueError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(
            f"clip.model={config.model} with clip.pretrained={config.pretrained} cannot be loaded ({line}). "
            "Give a checkpoint by path where no model hub is reachable, or --set clip.enabled=false"
        ) from error
    return Encoder(model.eval(), preprocess, tokenizer, config.batch_size)


def embed(config: Clip, column: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that turns batches of (id, `column`) into batches of EMBEDDED, in full forward passes.

    Args: column is 'bytes' (encoded images) or 'text'.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ids: list[str] = []
        values: list[Any] = []
        for batch in batches:
            ids += batch["id"].to_pylist()
            values += batch[column].to_pylist()
            while len(ids) >= config.batch_size:
                yield _embedded(config, column, ids[: config.batch_size], values[: config.batch_size])
                ids, values = ids[config.batch_size :], values[config.batch_size :]
        if ids:
            yield _embedded(config, column, ids, values)

    return run


def _embedded(config: Clip, column: str, ids: list[str], values: list[Any]) -> pa.RecordBatch:
    encoder = load(config)
    vectors = encoder.images(values) if column == "bytes" else encoder.texts(values)
    return pa.RecordBatch.from_pydict({"id": ids, "embedding": list(vectors)}, schema=EMBEDDED)


def similarities(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Replace columns image_embedding and text_embedding (n x d) by score: their cosine, rounded to 4 decimals."""
    for batch in batches:
        image, text = (
            np.stack(batch[c].to_numpy(zero_copy_only=False)) if batch.num_rows else np.zeros((0, 1), np.float32)
            for c in ("image_embedding", "text_embedding")
        )
        cosine = np.einsum("nd,nd->n", image.astype(np.float64), text.astype(np.float64))
        kept = batch.drop_columns(["image_embedding", "text_embedding"])
        yield kept.append_column("score", pa.array(np.round(cosine, 4).astype(np.float32)))
