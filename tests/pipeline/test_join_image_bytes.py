"""Joining image bytes to the rows that name them, from any part."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.tables import MAX_ROWS, attach_images
from pipeline.io.store import Store

ROWS = pa.schema([("image_id", pa.string()), ("position", pa.int32()), ("part", pa.string())])
ATTACHED = pa.schema([("image_id", pa.string()), ("position", pa.int32()), ("bytes", pa.binary())])


def part(folder: Path, name: str, images: dict[str, bytes]) -> str:
    table = pa.table({"image_id": list(images), "bytes": list(images.values()), "phash": [""] * len(images)})
    pq.write_table(table, folder / name)
    return name


def test_every_use_of_an_image_gets_its_bytes(tmp_path: Path) -> None:
    parts = {
        "a": part(tmp_path, "a.parquet", {"one": b"1", "two": b"2", "unused": b"0"}),
        "b": part(tmp_path, "b.parquet", {"three": b"3"}),
    }
    uses = [("one", 0, "a"), ("two", 1, "a"), *(("one", n, "a") for n in range(2, MAX_ROWS + 9)), ("three", 0, "b")]
    rows = pa.RecordBatch.from_pylist([dict(zip(ROWS.names, u, strict=True)) for u in uses], schema=ROWS)
    halves = iter([rows.slice(0, 10), rows.slice(10)])
    batches = list(attach_images(Store(str(tmp_path)), parts, ATTACHED, ["bytes"])(halves))
    assert all(b.schema == ATTACHED and b.num_rows <= MAX_ROWS for b in batches)
    found = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
    data = {"one": b"1", "two": b"2", "three": b"3"}
    assert sorted(found) == sorted((image, position, data[image]) for image, position, _ in uses)


def test_a_missing_image_joins_no_row(tmp_path: Path) -> None:
    parts = {"a": part(tmp_path, "a.parquet", {"one": b"1"})}
    rows = pa.RecordBatch.from_pylist([{"image_id": "other", "position": 0, "part": "a"}], schema=ROWS)
    assert list(attach_images(Store(str(tmp_path)), parts, ATTACHED, ["bytes"])(iter([rows]))) == []
    assert list(attach_images(Store(str(tmp_path)), parts, ATTACHED, ["bytes"])(iter([]))) == []
