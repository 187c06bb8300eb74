"""Statistics of shards, from their indexes without reading tars."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.io.store import Store
from schemas.errors import PathError
from schemas.integrity import check_object, parse_json
from schemas.shards import (
    LISTING,
    TOKENIZER,
    TOKENIZER_ABOUT,
    TRAIN,
    VALIDATION,
    Counted,
    Listing,
    ShardEntry,
    check_index_sum,
    check_links,
    parse_index,
    parse_listing,
)
from schemas.tables import CORPORA

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
MOST = 10  # languages and hosts to list
_DESCRIBED = ["language", "host", "num_words", "num_characters", "widths", "heights", "scores"]
CHARACTERS_PER_TOKEN = 4  # estimate for English, if no tokenizer has counted


def locate(directory: str) -> tuple[Store, str]:
    """Return the store and the folder of the shards: `directory` is a run's output or its shards folder.

    Raises: PathError when there is no listing in either place.
    """
    store = Store(directory)
    for folder in ("shards", ""):
        if store.fs.exists(store.at(*filter(None, (folder, LISTING)))):
            return store, folder
    raise PathError(f"{directory} has no finished shards ({LISTING} is missing); `weft run` or `weft shard` makes them")


def read_listing(store: Store, folder: str) -> Listing:
    """Read the listing of the shards in a folder of a store.

    Raises: IntegrityError when it is damaged; PathError when a file in it is a link to outside the folder.
    """
    path = store.at(*filter(None, (folder, LISTING)))
    listing = parse_listing(store.fs.cat_file(path), path)
    if store.local:
        names = [entry[kind] for entry in listing["shards"] for kind in ("tar", "index")]
        check_links(path.rpartition("/")[0], names)
    return listing


def corpora(directory: str) -> dict[str, dict[str, Any]]:
    """Describe the train split of each corpus, with the number of held-out samples.

    Raises: PathError when shards or an index are missing; IntegrityError when a file is damaged.
    """
    store, folder = locate(directory)
    listing = read_listing(store, folder)
    counted = _counted(store, folder)
    described = {}
    for corpus in CORPORA:
        shards, held_out = (
            [s for s in listing["shards"] if (s["corpus"], s["split"]) == (corpus, split)]
            for split in (TRAIN, VALIDATION)
        )
        if shards:
            index = pa.concat_tables([_index(store, folder, shard) for shard in shards])
            described[corpus] = {
                "shards": len(shards),
                "samples": sum(s["num_samples"] for s in shards),
                "images": sum(s["num_images"] for s in shards),
                "bytes": sum(s["num_bytes"] for s in shards),
                "held_out": sum(s["num_samples"] for s in held_out),
                **_tokens(index, counted.get(corpus)),
                **_describe(index),
            }
    return described


def _counted(store: Store, folder: str) -> dict[str, Counted]:
    """Return the token counts, by corpus, of the tokenizer next to the shards; empty without one."""
    root = store.path if folder else store.path.rpartition("/")[0]
    path = f"{root}/{TOKENIZER}/{TOKENIZER_ABOUT}"
    try:
        about = parse_json(store.fs.cat_file(path), path)
    except FileNotFoundError:
        return {}
    counted: dict[str, Counted] = about.get("counted", {}) if isinstance(about, dict) else {}
    for corpus, count in counted.items():
        check_object(count, Counted, f"{path}: the count of {corpus}")
    return counted


def _tokens(index: pa.Table, counted: Counted | None) -> dict[str, Any]:
    """Return the number of tokens of the text, and its source: a tokenizer, or an estimate from characters."""
    characters = pc.sum(index["num_characters"]).as_py() or 0
    if not counted or not counted["characters"]:
        return {"tokens": characters // CHARACTERS_PER_TOKEN, "tokens_by": f"{CHARACTERS_PER_TOKEN} characters a token"}
    if (counted["samples"], counted["characters"]) == (index.num_rows, characters):
        return {"tokens": counted["tokens"], "tokens_by": "tokenizer"}
    estimate = round(characters * counted["tokens"] / counted["characters"])
    return {"tokens": estimate, "tokens_by": f"tokenizer, from {counted['samples']} samples"}


def _index(store: Store, folder: str, shard: ShardEntry) -> pa.Table:
    path = store.at(*filter(None, (folder, shard["index"])))
    try:
        data = store.fs.cat_file(path)
    except FileNotFoundError:
        raise PathError(f"no file {path}; `weft verify` lists all missing files") from None
    check_index_sum(data, shard)
    return parse_index(data, shard, _DESCRIBED).select(_DESCRIBED)


def _describe(index: pa.Table) -> dict[str, Any]:
    return {
        "words": pc.sum(index["num_words"]).as_py() or 0,
        "characters": pc.sum(index["num_characters"]).as_py() or 0,
        "words_a_sample": _quantiles(index["num_words"]),
        "num_languages": pc.count_distinct(index["language"]).as_py(),
        "languages": _most_common(index["language"]),
        "num_hosts": pc.count_distinct(index["host"]).as_py(),
        "hosts": _most_common(index["host"]),
        "image_width_pixels": _quantiles(pc.list_flatten(index["widths"])),
        "image_height_pixels": _quantiles(pc.list_flatten(index["heights"])),
        "clip_score": _quantiles(pc.list_flatten(index["scores"])),
    }


def _quantiles(values: pa.ChunkedArray) -> dict[str, float]:
    if not len(values):
        return {}
    found = np.quantile(values.to_numpy(), QUANTILES)
    return {f"{q:g}": round(float(v), 4) for q, v in zip(QUANTILES, found, strict=True)}


def _most_common(values: pa.ChunkedArray) -> dict[str, int]:
    counts = Counter({row["values"]: row["counts"] for row in pc.value_counts(values).to_pylist()})
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST])
