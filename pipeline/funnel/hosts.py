"""What each host brought in, and which rules took it: pages by their own host, images by that of their address."""

from collections import Counter, defaultdict
from typing import Any

from pipeline.funnel.taken import hosts_of, taken
from pipeline.lookup import Lookup
from schemas.tables import IMAGES, PAGES, Table

_COLUMNS: dict[str, tuple[Table, str]] = {"page": (PAGES, "host"), "image": (IMAGES, "image_url")}
_BEFORE = {"page": "extract", "image": "filter"}  # what this step takes is not in the table
_UNTIL = {"page": ("extract", "filter", "dedup", "assemble"), "image": ("filter", "fetch", "dedup")}


def by_host(directory: str, limit: int) -> dict[str, dict[str, Any]]:
    """Tell of `pages` and of `images` the hosts that lost most: what came in, what was taken, and by which rules.

    Images are distinct addresses; what a document loses of them is not counted here.
    Raises: PathError when nothing of a run is there.
    """
    run = Lookup(directory)
    told = {}
    for level, (table, column) in _COLUMNS.items():
        came: Counter[str] = Counter()
        gone: Counter[str] = Counter()
        rules: dict[str, Counter[str]] = defaultdict(Counter)
        for batch in run.batches(table, [column]):
            names = batch[column] if column == "host" else hosts_of(batch[column])
            came.update({pair["values"]: pair["counts"] for pair in names.value_counts().to_pylist()})
        for step in _UNTIL[level]:
            manifest = run.manifests.get(step)
            for counted in (c for of_file in taken(run, step, manifest.judged if manifest else {}) for c in of_file):
                if counted.of == level:
                    gone[counted.host] += counted.things
                    came[counted.host] += counted.things * (step == _BEFORE[level])
                    rules[counted.host][counted.rule] += counted.dropped
        worst = sorted(gone, key=lambda host: (-gone[host], host))[:limit]
        told[f"{level}s"] = {
            "num_hosts": len(came),
            "in": came.total(),
            "taken": gone.total(),
            "hosts": [
                {
                    "host": host,
                    "in": came[host],
                    "taken": gone[host],
                    "out": came[host] - gone[host],
                    "rules": dict(rules[host].most_common()),
                }
                for host in worst
            ],
        }
    return told
