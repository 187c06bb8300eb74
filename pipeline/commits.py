"""What extract has committed: below `pages`, a file for each archive that is done."""

from typing import Any

from pipeline.store import Store

COMMITS = "_commits"


def read_commits(store: Store) -> dict[str, dict[str, Any]]:
    """Return what was committed of each archive, by the name of its part; drafts and hidden files are none."""
    folder = store.at("pages", COMMITS)
    paths = store.fs.ls(folder, detail=False) if store.fs.exists(folder) else []
    found = {path.rsplit("/", 1)[-1].removesuffix(".json"): path for path in paths if path.endswith(".json")}
    return {part: store.read_json(path) for part, path in found.items() if part[0] not in "_."}
