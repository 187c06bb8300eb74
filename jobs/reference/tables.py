"""The page of tables: a row's meaning, and each column's type and doc."""

from typing import Any, get_args, get_origin, get_type_hints

import pyarrow as pa

from pipeline.markdown import code, plain, table
from schemas import shards as samples
from schemas import tables as schema
from schemas.tables import Table

_ORDER = (schema.PAGES, schema.CAPTIONS, schema.MEASURES, schema.IMAGES, schema.LOOKALIKES, schema.SCORES,
          schema.SAFETY, schema.EMBEDDINGS, schema.DOCUMENTS, schema.REJECTIONS, samples.INDEX)  # fmt: skip
_JSON = {"interleaved": samples.InterleavedFields, "caption": samples.CaptionFields, "text": samples.TextFields,
         "one of `blocks`": samples.Block}  # fmt: skip
_MEMBERS = [
    ["interleaved", "`KEY.json`, `KEY.0.jpg`, `KEY.1.jpg`, ..."],
    ["caption", "`KEY.jpg`, `KEY.json`, `KEY.txt`"],
    ["text", "`KEY.json`, `KEY.txt`"],
]
_ENTRY = "one shard in `shards.json`"


def tables() -> str:
    """Return the page."""
    parts = [
        "# Tables and samples",
        "Made by `make docs` from `schemas/tables.py` and `schemas/shards.py`. Tables are Parquet, below the output of "
        "a run; a column without *null* always has a value. [operations.md](operations.md) says which files count.",
        *(_of_table(t) for t in _ORDER),
        "## Samples",
        "A shard is a plain WebDataset tar. Its JSON never holds null: unknown strings are \"\", unknown numbers 0.",
        table(("corpus", "members"), _MEMBERS),
        *(_of_json(f"JSON of {name}" if " " not in name else f"JSON: {name}", kind) for name, kind in _JSON.items()),
        _of_json(f"JSON: {_ENTRY}", samples.ShardEntry),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _of_table(t: Table) -> str:
    rows = ([code(c.name), code(_type(c.type)), plain(c.doc) + " *(null)*" * c.nullable] for c in t.columns)
    return f"## {code(t.name)}\n\nA row is {plain(t.row)}.\n\n{table(('column', 'type', 'what it holds'), rows)}"


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list<{_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return "struct<" + ", ".join(f"{f.name}: {_type(f.type)}" for f in kind) + ">"
    return str(kind)


def _of_json(title: str, kind: Any) -> str:
    rows = ([code(name), code(_name(hint))] for name, hint in get_type_hints(kind).items())
    return f"### {title}\n\n{table(('key', 'type'), rows)}"


def _name(hint: Any) -> str:
    if get_origin(hint) is list:
        return f"list<{_name(get_args(hint)[0])}>"
    return {str: "string", int: "integer", float: "number"}.get(hint, "object")
