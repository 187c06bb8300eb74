"""Minimum values of measures, stored in floors.yaml with the checksum of their data. They only rise."""

import hashlib
import math
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "floors.yaml"
DIGITS = 4  # as they are printed
HEAD = (
    "# Floors of `make gate`. `--set-floors` raises them; one falls only with `--because REASON`, kept under `fell`.\n"
)
Floors = dict[str, Any]


def checksum(paths: list[Path]) -> str:
    """Return the combined SHA-256 of files; '' without files."""
    h = hashlib.sha256()
    for path in paths:
        h.update(hashlib.sha256(path.read_bytes()).digest())
    return h.hexdigest() if paths else ""


def load() -> Floors:
    """Read the floors: for each set of data its checksum (`data`) and its measures."""
    floors: Floors = yaml.safe_load(FILE.read_text("utf-8"))
    return floors


def missed(floors: Floors, name: str, measure: str, value: float) -> bool:
    """Return whether a measure is below its floor, to the printed digits."""
    return round(value, DIGITS) < floors.get(name, {}).get(measure, -math.inf)


def set_floors(
    floors: Floors, measured: dict[str, dict[str, float]], sums: dict[str, str], because: str | None
) -> None:
    """Write the measures as the new floors.

    Raises: SystemExit when one would fall and no reason is given.
    """
    falling = [
        f"{name} {measure} from {floors[name][measure]} to {value:.{DIGITS}f}"
        for name, measures in measured.items()
        for measure, value in measures.items()
        if missed(floors, name, measure, value)
    ]
    if falling and not because:
        raise SystemExit(f"these would fall: {'; '.join(falling)}. Say why, as --because REASON")
    fell = [*floors.get("fell", []), *(f"{line}: {because}" for line in falling)]
    kept = {
        name: {"data": sums[name], **{m: math.floor(v * 10**DIGITS) / 10**DIGITS for m, v in measures.items()}}
        for name, measures in measured.items()
    }
    merged = {**floors, **kept, **({"fell": fell} if fell else {})}
    FILE.write_text(HEAD + yaml.safe_dump(merged, sort_keys=False, width=200), "utf-8")
