"""Update the rates of `weft plan` from benchmark results: `python -m benchmarks.rates [DATA]`.

With DATA, also the rates of real pages, and the sizes of photographs as fetched and as stored.
"""

import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.results import RESULTS

RATES = Path(__file__).parent.parent / "jobs" / "rates.yaml"
DIGITS = 5


def main(data: str | None = None) -> None:
    """Compute and write the rates, and print what changed."""
    listed: dict[str, dict[str, Any]] = yaml.safe_load(RATES.read_text("utf-8"))
    found = {name: from_benchmark(rate) for name, rate in listed.items() if "benchmark" in rate}
    if data is not None:
        found |= _from_data(Path(data), listed)
    text = RATES.read_text("utf-8")
    for name, value in found.items():
        if value != listed[name]["value"]:
            print(f"{name}: {listed[name]['value']} to {value}")
        text = re.sub(rf"^({re.escape(name)}:\n  value: ).*$", rf"\g<1>{value}", text, flags=re.M)
    RATES.write_text(text, "utf-8")


def from_benchmark(rate: dict[str, Any]) -> float:
    """Return the value of a rate from its benchmark: core-seconds per item."""
    name, measure = rate["benchmark"].split(".")
    measured = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["measures"][measure]["ours"]
    return _rounded(rate.get("cores", 1) / measured)


def _from_data(data: Path, listed: dict[str, dict[str, Any]]) -> dict[str, float]:
    measured = {"pages": _pilot([str(data / "pages.warc.gz")]), "photos": _photos(data / "photos.tar.gz")}
    wanted = {name: rate["data"] for name, rate in listed.items() if "data" in rate}
    return {name: _rounded(measured[source][name]) for name, source in wanted.items()}


def _pilot(archives: Sequence[str]) -> dict[str, float]:
    """Run kosmos1 up to fetch, which finds no images in archives of pages; return the rates."""
    from jobs import extract, fetch, filter
    from jobs.recipes import load
    from jobs.run import run
    from pipeline.inspect.pilot import Pilot
    from pipeline.inspect.replay import replaying

    with tempfile.TemporaryDirectory() as output, replaying(list(archives)) as port:
        settings = [
            f"fetch.proxy=http://127.0.0.1:{port}",
            "fetch.host_requests_per_second=null",
            "drop_limits.action=warn",
        ]
        run((extract.STEP, filter.STEP, fetch.STEP), load("kosmos1", settings), output, archives, master="local[2]")
        rates = Pilot(output, num_cores=2).rates()
    return {name: figure.value or 0.0 for name, figure in rates.items()}


def _photos(path: Path) -> dict[str, float]:
    from jobs.recipes import load
    from pipeline.images.decode import decode

    with tarfile.open(path) as tar:
        files = [f for member in tar if member.name.endswith(".jpg") and (f := tar.extractfile(member))]
        photos = [file.read() for file in files]
    stored = [decode(photo, load("kosmos1").decode)["num_bytes"] for photo in photos]
    return {"fetch.bytes": sum(map(len, photos)) / len(photos), "images.bytes": sum(stored) / len(stored)}


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
