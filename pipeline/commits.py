"""What extract has committed: below `pages`, a file for each archive that is done."""

from typing import Any

from pipeline.store import Store

COMMITS = "_commits"


def read_commits(store: Store) -> dict[str, dict[str, Any]]:
    """Return what was committed of each archive, by the name of its part."""
    found = {path.rsplit("/", 1)[-1].removesuffix(".json"): path for path in store.documents("pages", COMMITS)}
    return {part: store.read_json(store.at(path)) for part, path in found.items()}
