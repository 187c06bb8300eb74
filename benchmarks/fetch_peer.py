"""Plain img2dataset on a list of addresses, as its users call it: `python -m benchmarks.fetch_peer FOLDER THREADS`.

Two processes with THREADS threads each ask for what FOLDER/addresses.txt lists. FOLDER/outcome.json then holds ok
(images stored) and seconds, imports not counted.
"""

import json
import math
import os
import sys
import time
from pathlib import Path

NUM_PROCESSES = 2
SHARD_IMAGES = 10_000  # img2dataset's default
# Libraries below img2dataset ask the network for newer versions of themselves, or want an account, unless told not to.
QUIET = {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled", "WANDB_SILENT": "true"}


def main(folder: Path, threads: int) -> None:
    """Download, and write the result."""
    os.environ.update(QUIET)
    from img2dataset import download

    addresses, out = folder / "addresses.txt", folder / "images"
    num_images = len(addresses.read_text("utf-8").splitlines())
    out.mkdir()
    started = time.perf_counter()
    download(
        url_list=str(addresses),
        input_format="txt",
        output_folder=str(out),
        output_format="parquet",
        processes_count=NUM_PROCESSES,
        thread_count=threads,
        number_sample_per_shard=min(SHARD_IMAGES, math.ceil(num_images / NUM_PROCESSES)),  # work for every process
        retries=2,
        timeout=10,
        resize_mode="keep_ratio_largest",
        resize_only_if_bigger=True,
        image_size=512,
        encode_quality=92,
        compute_hash="sha256",
        distributor="multiprocessing",
    )
    seconds = time.perf_counter() - started
    ok = sum(json.loads(path.read_text("utf-8"))["successes"] for path in out.glob("*_stats.json"))
    (folder / "outcome.json").write_text(json.dumps({"seconds": seconds, "ok": ok}), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
