"""Print a benchmark's ratios and store them as JSON."""

import json
from collections.abc import Set
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def report(name: str, measures: dict[str, tuple[float, float, str]], less_is_better: Set[str] = frozenset()) -> None:
    """Write `results/NAME.json`. Each measure is (ours, peer, unit); a ratio above 1 means that Weft is better."""
    found = {}
    for measure, (ours, peer, unit) in measures.items():
        ratio = peer / ours if measure in less_is_better else ours / peer
        found[measure] = {"ours": round(ours, 3), "peer": round(peer, 3), "ratio": round(ratio, 3), "unit": unit}
    for measure, values in found.items():
        print(f"{measure}: ours {values['ours']}, peer {values['peer']} {values['unit']}, ratio {values['ratio']}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"measures": found}, indent=1) + "\n", encoding="utf-8")
