"""Everything that a dataset card tells, gathered from a run's manifests, tables and listing."""

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
    """Return a local path's base name; an address without its user, query and fragment, which may hold keys."""
    if name.startswith("file:"):
        return _base(name)
    if "://" in name:
        scheme, _, rest = re.split(r"[?#]", name, maxsplit=1)[0].partition("://")
        authority, slash, path = rest.partition("/")
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return _base(name)


def public_values(value: Any) -> Any:
    """Return nested values of a recipe with every string that is a path of this machine, or an address, made public."""
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
    is_address = "://" in value and " " not in value
    is_path = value.startswith(("/", "./", "../", "~", "file:"))
    return public_name(value) if is_address or is_path else redact(value)


def _base(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


SPLITS = (TRAIN, VALIDATION)
_CODE = re.compile(r"^[a-z]{2,3}$")  # of languages; what has another form is none that a reader of cards knows
_COUNTED = ("language", "host")


@dataclass(frozen=True)
class Facts:
    """What a card tells. recipe holds the values by which each step worked; captured is the first and last capture."""

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
        """The corpora that there are, in the order of schemas/tables.py."""
        return [corpus for corpus in CORPORA if any(s["corpus"] == corpus for s in self.shards)]

    @property
    def num_samples(self) -> int:
        """Samples of all corpora and splits."""
        return sum(s["num_samples"] for s in self.shards)

    def of(self, corpus: str, split: str) -> list[ShardEntry]:
        """List the shards of a corpus and split."""
        return [s for s in self.shards if (s["corpus"], s["split"]) == (corpus, split)]

    def rejected(self, step: str, *rules: str) -> int:
        """Count the rows that a step's rules wrote into the ledger."""
        return sum(self.manifests[step].rejected.get(rule, 0) for rule in rules)


def gather(directory: str, name: str | None, license: str | None) -> Facts:
    """Read what a card of a run's shards tells. name: null is the recipe's. license: null is not known.

    Raises: PathError when there are no shards, or no run that made them.
    """
    store, folder = locate(directory)
    run = Lookup(directory)
    if run.not_run:
        raise PathError(f"{directory} is not a whole run ({', '.join(run.not_run)} is missing); `weft run` finishes it")
    data = store.fs.cat_file(store.at(*filter(None, (folder, LISTING))))
    recipe = validate(Recipe, _recipe(run.manifests), f"the recipe of {directory}")
    counts, captured = _told(run)
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
    """Lay the part by which each step worked over the last step's recipe: steps may have been run with others."""
    values = dict(manifests["shard"].recipe)
    values["fetch"] = manifests["fetch"].recipe["fetch"]  # how images are asked for is in no step's part
    for manifest in manifests.values():
        values = merge(values, manifest.config)
    public: dict[str, Any] = public_values(values)
    public["fetch"]["contact"] = values["fetch"]["contact"]  # meant for strangers, whole
    return public


def _archives(store: Store) -> list[str]:
    """List the archives that were read, over all runs that added some."""
    return sorted(public_name(commit["archive"]) for commit in read_commits(store).values())


def _told(run: Lookup) -> tuple[dict[str, dict[str, int]], tuple[str, str]]:
    """Count the samples of each language and host, the most first, and find the first and last capture."""
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
