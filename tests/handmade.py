"""Hand-made tables, as earlier steps would write them."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipeline.io.store import Manifest, Store
from pipeline.io.tables import PartWriter
from schemas.tables import PAGES, Table

BLOCK = dict.fromkeys(field.name for field in PAGES.schema.field("blocks").type.value_type)
EMPTY = {pa.string(): "", pa.int32(): 0, pa.int64(): 0, pa.float32(): 0.0, pa.float64(): 0.0, pa.bool_(): False}
PAGE = {c.name: EMPTY.get(c.type) for c in PAGES.columns if not c.nullable}
PAGE |= {"url": "http://x/", "host": "x", "warc_file": "w", "language": "en", "language_score": 1.0}


def row(table: Table, **known: Any) -> dict[str, Any]:
    """Return a row of a table; other columns are null, or default values for a page."""
    return {**dict.fromkeys(c.name for c in table.columns), **(PAGE if table is PAGES else {}), **known}


def text(words: str) -> dict[str, Any]:
    return {**BLOCK, "kind": "text", "text": words}


def picture(url: str) -> dict[str, Any]:
    return {**BLOCK, "kind": "image", "image_url": url}


def commit(
    store: Store, folder: str, step: str, tables: Mapping[Table, list[dict[str, Any]]] | None = None, num_parts: int = 2
) -> None:
    """Write tables and their manifest to a folder, each row to the next part."""
    files: dict[str, list[str]] = {}
    for table, rows in (tables or {}).items():
        files[table.name] = [f"{folder}/{table.name}-{number}.parquet" for number in range(num_parts)]
        for number, path in enumerate(files[table.name]):
            with PartWriter(store, table, store.at(path)) as part:
                for of_part in rows[number::num_parts]:
                    part.add(of_part)
    store.commit(folder, Manifest(step, {}, {}, {}, files))
