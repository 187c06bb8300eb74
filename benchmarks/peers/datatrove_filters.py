"""datatrove's Gopher quality, Gopher repetition and C4 quality filters, with default settings.

Run by the Python of `.venv-datatrove-dedup`: `python -m benchmarks.peers.datatrove_filters FILE`; FILE holds a JSON
list of texts. Prints JSON: seconds, and for each text the reason of either Gopher filter, null where it keeps the text.
"""

import json
import sys
import time
from pathlib import Path

ROUNDS = 2  # the faster counts, as of ours


def main(path: Path) -> None:
    """Apply every filter to every text, regardless of earlier decisions, and print the result."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, GopherRepetitionFilter

    filters = {"quality": GopherQualityFilter(), "repetition": GopherRepetitionFilter(), "c4": C4QualityFilter()}
    texts = json.loads(path.read_text("utf-8"))
    for filter in filters.values():
        filter.filter(Document(text="A text. " * 100, id=""))  # loads the tokenizer before the clock starts
    seconds, reasons = [], {}
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for name, filter in filters.items():
            said = [filter.filter(Document(text=text, id="")) for text in texts]  # C4 rewrites what it keeps
            reasons[name] = [None if verdict is True else verdict[1] for verdict in said]
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": min(seconds), "reasons": reasons}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
