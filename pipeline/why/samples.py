"""Where a document lies in the shards: which tar, and which sample of it."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.lookup import Lookup
from schemas.tables import DOCUMENTS

FIELDS = ("corpus", "key", "page_id", "warc_file", "warc_offset")


def documents(run: Lookup, where: pc.Expression) -> list[dict[str, Any]]:
    """Find documents, and of each `tar` and `position`, the samples before it there; null where no shard holds it."""
    found = run.find(DOCUMENTS, where, *FIELDS)
    places = _places(run, {(d["corpus"], d["key"]) for d in found})
    nowhere = {"tar": None, "position": None}
    return [{**d, **places.get((d["corpus"], d["key"]), nowhere)} for d in found]


def _places(run: Lookup, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Look for samples in the indexes of their corpora, until all are found."""
    files = run.manifests["shard"].files["shards"] if "shard" in run.manifests else []
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for tar, index in zip(files[::2], files[1::2], strict=True):
        corpus = tar.split("/")[1]
        keys = {key for of, key in wanted if of == corpus and (of, key) not in found}
        if not keys:
            continue
        with run.store.fs.open(run.store.at(index), "rb") as file:
            column = pq.read_table(file, columns=["key"], page_checksum_verification=True)["key"]
        hits = pc.indices_nonzero(pc.is_in(column, pa.array(sorted(keys)))).to_pylist()
        found |= {(corpus, column[i].as_py()): {"tar": tar, "position": i} for i in hits}
    return found
