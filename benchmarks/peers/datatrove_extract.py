"""Whole archives through datatrove's WarcReader and Trafilatura extractor, as it is set by default.

Run by the Python of `.venv-datatrove`: `python -m benchmarks.peers.datatrove_extract ARCHIVE...`. Prints JSON: kept
(pages with text), seconds, peak_memory_bytes, and texts by address.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.peak_memory import peak_memory_bytes

VERSION = "0.10.1"
# its extra `processing` wants this trafilatura; `io` would bring pyarrow and datasets too, which reading does not need
REQUIREMENTS = (f"datatrove=={VERSION}", "trafilatura>=1.8,<1.12", "warcio", "faust-cchardet", "python-magic", "orjson")


def main(archives: list[str]) -> None:
    """Read and extract, and print what came of it."""
    import trafilatura  # noqa: F401  # before the clock starts; the extractor's child process inherits it
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.readers import WarcReader

    texts: dict[str, str] = {}
    started = time.perf_counter()
    for archive in map(Path, archives):
        for document in Trafilatura().run(WarcReader(str(archive.parent), glob_pattern=archive.name).run()):
            texts[document.metadata["url"]] = document.text
    seconds = time.perf_counter() - started
    print(
        json.dumps({"kept": len(texts), "seconds": seconds, "peak_memory_bytes": peak_memory_bytes(), "texts": texts})
    )


if __name__ == "__main__":
    main(sys.argv[1:])
