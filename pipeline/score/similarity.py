"""From embeddings to scores: the cosine of an image and of that piece of a text which is most like it.

Scores are rounded to 5 decimals. So they have few enough values to count each (pipeline/score/top.py), and the order in
which a processor adds up cannot show.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import SCORES

DECIMALS = 5  # an error of half a unit there is below 1e-5
MAX_ROWS = 4096  # of a batch: a page of 500 images and 100 blocks has 50,000 scores

_OF_TEXT = ("block", "sentence", "text_id")
Batches = Iterator[pa.RecordBatch]


def page_scores(batches: Batches) -> Batches:
    """Score every image of a page with every text of it: batches of SCORES.

    Args: batches have `page_id`; `images`, a list of image_id and embedding; and `texts`, a list of block, sentence,
    text_id and embedding, a row for each piece of a text, the pieces of one text side by side.
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
    """Replace columns image_embedding (d) and text_embeddings (one or more of d, a text's pieces) by score."""
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
    """Return n lists of d as n x d, in double precision: the sum of d products must not add to the error."""
    values: np.ndarray = vectors.flatten().to_numpy().reshape(len(vectors), -1).astype(np.float64)
    return values


def _rounded(cosines: np.ndarray) -> pa.Array:
    return pa.array(np.round(cosines, DECIMALS).astype(np.float32))
