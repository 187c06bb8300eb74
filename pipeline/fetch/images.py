"""Downloaded bytes to rows of `images`."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from pipeline.decode import decode
from pipeline.fetch.classify import classify
from schemas.recipe import Decode
from schemas.tables import IMAGES

DOWNLOADED = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("status", pa.string()),
        pa.field("error_message", pa.string()),
        pa.field("jpg", pa.binary()),  # img2dataset's name for the bytes, whatever their format
    ]
)
_EMPTY: dict[str, Any] = dict.fromkeys(c.name for c in IMAGES.columns)


def decode_images(config: Decode) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that turns batches of DOWNLOADED into batches of `images`, row by row."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield IMAGES.batch([_row(r, config) for r in batch.to_pylist()])

    return run


def _row(downloaded: dict[str, Any], config: Decode) -> dict[str, Any]:
    row = {**_EMPTY, "image_id": downloaded["image_id"], "image_url": downloaded["image_url"]}
    if downloaded["status"] != "success":
        error = downloaded["error_message"] or "no answer"
        return {**row, "status": classify(error), "error": error[:300]}
    return {**row, **decode(downloaded["jpg"] or b"", config)}
