"""Collect the contents of a dataset card from a run's manifests, tables and listing."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from pipeline.inspect.funnel import by_rule
from pipeline.io.store import Manifest, Store, read_commits
from pipeline.io.tables import Lookup
from pipeline.shards.stats import locate
from schemas.display import redact
from schemas.errors import PathError
from schemas.overrides import merge, validate
from schemas.reasons import CODES
from schemas.recipe import Recipe
from schemas.shards import LISTING, TRAIN, VALIDATION, ShardEntry, parse_listing
from schemas.tables import CORPORA, DOCUMENTS

_LOCAL_DIR = "local-dir:"


def public_name(name: str) -> str:
    """Return a local path's base name, or a URL without user, query and fragment, which may hold secrets."""
    if name.startswith("file:"):
        return _base(name)
    if "://" in name:
        scheme, _, rest = re.split(r"[?#]", name, maxsplit=1)[0].partition("://")
        authority, slash, path = rest.partition("/")
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return _base(name)


def public_values(value: Any) -> Any:
    """Return nested values of a recipe with `public_name` applied to local paths and URLs, and credentials masked."""
    if isinstance(value, dict):
        return {key: public_values(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [public_values(v) for v in value]
    if isinstance(value, str):
        return _public_string(value)
    return value


def _public_string(value: str) -> str:
    if value.startswith(_LOCAL_DIR):
        return _LOCAL_DIR + _base(value)
    is_url = "://" in value and " " not in value
    is_path = value.startswith(("/", "./", "../", "~", "file:"))
    return public_name(value) if is_url or is_path else redact(value)


def _base(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


SPLITS = (TRAIN, VALIDATION)
_CODE = re.compile(r"^[a-z]{2,3}$")  # language codes that readers of cards accept
_COUNTED = ("language", "host")


@dataclass(frozen=True)
class Facts:
    """The contents of a card. recipe holds the values that each step used; captured is the first and last capture."""

    store: Store
    folder: str
    name: str
    license: str | None
    recipe: Recipe
    archives: list[str]
    captured: tuple[str, str]
    languages: dict[str, int]
    hosts: dict[str, int]
    shards: list[ShardEntry]
    listing_sha256: str
    manifests: dict[str, Manifest]
    funnel: list[dict[str, Any]]

    @property
    def corpora(self) -> list[str]:
        """The existing corpora, in the order of schemas/tables.py."""
        return [corpus for corpus in CORPORA if any(s["corpus"] == corpus for s in self.shards)]

    @property
    def num_samples(self) -> int:
        """Number of samples of all corpora and splits."""
        return sum(s["num_samples"] for s in self.shards)

    def of(self, corpus: str, split: str) -> list[ShardEntry]:
        """List the shards of a corpus and split."""
        return [s for s in self.shards if (s["corpus"], s["split"]) == (corpus, split)]

    def rejected(self, step: str, *rules: str) -> int:
        """Return the number of rejections by some rules of a step."""
        return sum(self.manifests[step].rejected.get(rule, 0) for rule in rules)


def gather(directory: str, name: str | None, license: str | None) -> Facts:
    """Collect the contents of a card of a run's shards.

    Args: name, None for the recipe's; license, None for unknown.
    Raises: PathError when there are no shards, or the run is not finished.
    """
    store, folder = locate(directory)
    run = Lookup(directory)
    if run.not_run:
        raise PathError(f"the run in {directory} is not finished ({', '.join(run.not_run)}); `weft run` continues it")
    data = store.fs.cat_file(store.at(*filter(None, (folder, LISTING))))
    recipe = validate(Recipe, _recipe(run.manifests), f"the recipe of {directory}")
    counts, captured = _count_documents(run)
    return Facts(
        store,
        folder,
        name or recipe.name,
        license,
        recipe,
        _archives(run.store),
        captured,
        {language: n for language, n in counts["language"].items() if _CODE.match(language)},
        counts["host"],
        parse_listing(data, LISTING)["shards"],
        hashlib.sha256(data).hexdigest(),
        run.manifests,
        by_rule(directory, len(CODES)),
    )


def _recipe(manifests: dict[str, Manifest]) -> dict[str, Any]:
    """Merge the configuration of each step into the last step's recipe: steps may have been run with others."""
    values = dict(manifests["shard"].recipe)
    values["fetch"] = manifests["fetch"].recipe["fetch"]  # not in the configuration of any step
    for manifest in manifests.values():
        values = merge(values, manifest.config)
    public: dict[str, Any] = public_values(values)
    public["fetch"]["contact"] = values["fetch"]["contact"]  # intended to be public
    return public


def _archives(store: Store) -> list[str]:
    """List all archives that were extracted into this output."""
    return sorted(public_name(commit["archive"]) for commit in read_commits(store).values())


def _count_documents(run: Lookup) -> tuple[dict[str, dict[str, int]], tuple[str, str]]:
    """Count the samples of each language and host, most frequent first, and find the first and last capture."""
    counts: dict[str, Counter[str]] = {column: Counter() for column in _COUNTED}
    first, last = "", ""
    for batch in run.batches(DOCUMENTS, [*_COUNTED, "captured_at"]):
        if not batch.num_rows:
            continue
        for column in _COUNTED:
            for found in pc.value_counts(batch[column]).to_pylist():
                counts[column][found["values"]] += found["counts"]
        ends = pc.min_max(batch["captured_at"]).as_py()
        first, last = min(filter(None, (first, ends["min"])), default=""), max(last, ends["max"])
    return {column: dict(sorted(of.items(), key=lambda item: (-item[1], item[0]))) for column, of in counts.items()}, (
        first,
        last,
    )
