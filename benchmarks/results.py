"""Print a benchmark's ratios and keep them as JSON."""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def report(name: str, measures: dict[str, tuple[float, float, str]]) -> None:
    """Write `results/NAME.json`. Each measure is (ours, peer, unit), higher being better; ratio is ours over peer's."""
    found = {
        measure: {"ours": round(ours, 3), "peer": round(peer, 3), "ratio": round(ours / peer, 3), "unit": unit}
        for measure, (ours, peer, unit) in measures.items()
    }
    for measure, values in found.items():
        print(f"{measure}: ours {values['ours']}, peer {values['peer']} {values['unit']}, ratio {values['ratio']}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"measures": found}, indent=1) + "\n", encoding="utf-8")
