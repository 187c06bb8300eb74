"""Damage that leaves every sample sound in form, as a letter that is another: found by making the samples again.

A run keeps the documents and images that its samples were made of. Of an image only a digest is kept in memory.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from pipeline.lookup import UNREADABLE, Lookup, among
from pipeline.shard.sample import Picture, make_sample
from pipeline.store import Store
from schemas.errors import WeftError
from schemas.tables import DOCUMENTS, IMAGES

_STORED = ("image_id", "sha256", "width", "height", "bytes")


def differing(store: Store, tar: str, rows: list[dict[str, Any]], run: str) -> Iterator[tuple[str, str]]:
    """Yield the key of each sample of a tar that is not what the run makes of its document, and the member."""
    wanted = {row["key"]: row for row in rows}
    try:
        lookup = Lookup(run)
        documents = lookup.find(DOCUMENTS, among("key", wanted), *DOCUMENTS.schema.names)
        ids = {b["image_id"] for d in documents for b in d["blocks"] if b["kind"] == "image"}
        pictures = _pictures(lookup, ids)
    except (WeftError, *UNREADABLE):  # a part of the run that cannot be read is a defect of its own, not the tar's
        return
    with store.fs.open(store.at(tar), "rb") as file:
        for document in documents:
            used = [b["image_id"] for b in document["blocks"] if b["kind"] == "image"]
            if not pictures.keys() >= set(used):
                continue
            made = dict(make_sample(document, [pictures[image] for image in used]).members)
            for member in wanted[document["key"]]["members"]:
                file.seek(member["offset"])
                data = file.read(member["size"])
                if made.get(member["name"]) not in (data, hashlib.sha256(data).digest()):
                    what = f"{member['name']} is not what was written, within bytes {member['offset']} to "
                    yield document["key"], f"{what}{member['offset'] + member['size']}"


def _pictures(lookup: Lookup, ids: set[str]) -> dict[str, Picture]:
    """Return images by id, the digest of each in place of its bytes."""
    found = {}
    for batch in lookup.batches(IMAGES, list(_STORED), among("image_id", ids)):
        for row in batch.to_pylist():
            if row["bytes"] is not None:
                digest = hashlib.sha256(row.pop("bytes")).digest()
                found[row["image_id"]] = Picture(**row, data=digest)
    return found
