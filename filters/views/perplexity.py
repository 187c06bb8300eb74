"""How surprising each text is to a language model, which the caller brings."""

import pyarrow as pa

from filters.views.view import Aids
from schemas.errors import SchemaError


def perplexity(batch: pa.RecordBatch, aids: Aids) -> pa.Array:
    """Ask the model. Raises: SchemaError when there is none."""
    if aids.perplexity is None:
        raise SchemaError("a filter reads the perplexity of texts, and no language model was given")
    return aids.perplexity(batch["text"])
