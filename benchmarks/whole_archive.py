"""Process whole archives with one engine in a separate process: `python -m benchmarks.whole_archive NAME ARCHIVE...`.

NAME is one of `extract_engines`, or a recipe, which goes through all of the extract step: the guard, the tables
written. Prints JSON: kept (pages with text), seconds, peak_memory_bytes.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks.extract_engines import ENGINES, text_of
from benchmarks.peak_memory import peak_memory_bytes
from benchmarks.peers.environment import ROOT
from pipeline.warc.responses import Response, read_archive


def measure(python: str, module: str, *arguments: str) -> dict[str, Any]:
    """Run a module that prints JSON and return it; if it fails, return nothing and print the reason."""
    run = subprocess.run([python, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        print(f"{module} {arguments[0]} failed: {run.stderr.strip()[-300:]}", file=sys.stderr)
        return {}
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def _by_engine(name: str, archives: list[str]) -> Callable[[], int]:
    engine = ENGINES[name]()
    items = (item for archive in archives for item in read_archive(archive))
    return lambda: sum(bool(text_of(engine, item)) for item in items if isinstance(item, Response))


def _by_recipe(name: str, archives: list[str]) -> Callable[[], int]:
    from jobs import recipes
    from pipeline.html.extract import extract_archive
    from pipeline.io.store import Store

    config = recipes.load(name).extract

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            return sum(extract_archive(archive, Store(folder), config)["counts"]["pages"] for archive in archives)

    return run


def main(name: str, archives: list[str]) -> None:
    """Read and extract, and print the result."""
    run = (_by_engine if name in ENGINES else _by_recipe)(name, archives)
    started = time.perf_counter()
    kept = run()
    seconds = time.perf_counter() - started
    print(json.dumps({"kept": kept, "seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
