"""From embeddings to scores."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DECIMALS = 5  # an error of half a unit there is below 1e-5


def similarities(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Replace columns image_embedding (d) and text_embeddings (one or more of d, a text's pieces) by score.

    It is the cosine of the image and that piece of the text which is most like it, rounded to 5 decimals.
    """
    for batch in batches:
        kept = batch.drop_columns(["image_embedding", "text_embeddings"])
        yield kept.append_column("score", pa.array(_scores(batch), pa.float32()))


def _scores(batch: pa.RecordBatch) -> np.ndarray:
    if not batch.num_rows:
        return np.zeros(0, np.float32)
    num_pieces = pc.list_value_length(batch["text_embeddings"]).to_numpy()
    images = _matrix(batch["image_embedding"])
    pieces = _matrix(batch["text_embeddings"].flatten())
    cosines = np.einsum("nd,nd->n", np.repeat(images, num_pieces, axis=0), pieces)
    best = np.maximum.reduceat(cosines, np.cumsum(num_pieces) - num_pieces)
    return np.round(best, DECIMALS).astype(np.float32)


def _matrix(vectors: pa.ListArray) -> np.ndarray:
    """Return n lists of d as n x d, in double precision: the sum of d products must not add to the error."""
    values: np.ndarray = vectors.flatten().to_numpy().reshape(len(vectors), -1).astype(np.float64)
    return values
