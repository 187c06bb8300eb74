"""Process whole archives with datatrove's WarcReader and Trafilatura extractor, with default settings.

Run by the Python of `.venv-datatrove`: `python -m benchmarks.peers.datatrove_extract ARCHIVE...`. Prints JSON: kept
(pages with text), seconds, peak_memory_bytes, and texts by address.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.peak_memory import peak_memory_bytes

VERSION = "0.10.1"
# its extra `processing` wants this trafilatura; `io` would bring pyarrow and datasets too, which reading does not need
REQUIREMENTS = (f"datatrove=={VERSION}", "trafilatura>=1.8,<1.12", "warcio", "faust-cchardet", "python-magic", "orjson")
TYPE = "WARC-Identified-Payload-Type"


def main(archives: list[str]) -> None:
    """Read and extract, and print the result."""
    import trafilatura  # noqa: F401  # before the clock starts; the extractor's child process inherits it
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.readers import WarcReader

    texts: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, archive in enumerate(archives):
            _typed_copy(archive, Path(folder) / f"{number}.warc.gz")
        started = time.perf_counter()
        for document in Trafilatura().run(WarcReader(folder).run()):
            texts[document.metadata["url"]] = document.text
        seconds = time.perf_counter() - started
    print(
        json.dumps({"kept": len(texts), "seconds": seconds, "peak_memory_bytes": peak_memory_bytes(), "texts": texts})
    )


def _typed_copy(archive: str, copy: Path) -> None:
    """Copy an archive and declare the type of each page, as Common Crawl does.

    Without that, libmagic takes 136 of the 676 pages for JavaScript, and datatrove passes them over.
    """
    from warcio.archiveiterator import ArchiveIterator
    from warcio.warcwriter import WARCWriter

    with Path(archive).open("rb") as source, copy.open("wb") as target:
        writer = WARCWriter(target, gzip=True)
        for record in ArchiveIterator(source):
            kind = record.http_headers.get_header("Content-Type", "") if record.http_headers else ""
            if record.rec_type == "response" and kind.startswith(("text/html", "application/xhtml+xml")):
                record.rec_headers.replace_header(TYPE, kind.partition(";")[0])
            writer.write_record(record)


if __name__ == "__main__":
    main(sys.argv[1:])
