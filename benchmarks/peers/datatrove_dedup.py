"""datatrove's MinHash deduplication up to its list of duplicates, one stage after the other in one process.

Run by the Python of `.venv-datatrove-dedup`: `python -m benchmarks.peers.datatrove_dedup FOLDER`; FOLDER/documents has
the documents. Prints JSON: seconds (all stages), signatures_per_second (in memory), peak_memory_bytes, and clusters by
document.
"""

import json
import struct
import sys
import time
from itertools import islice
from pathlib import Path

from benchmarks.peak_memory import peak_memory_bytes

VERSION = "0.10.1"
# What its MinHash imports, rather than all of its extra `processing`. xxhash 4 refuses the strings that it hashes.
REQUIREMENTS = (f"datatrove=={VERSION}", "spacy==3.8.18", "tokenizers", "xxhash==3.8.2", "orjson", "nltk", "regex")
SAMPLE = 3_000  # documents whose signatures are timed alone


def main(folder: Path) -> None:
    """Compute signatures, find and cluster duplicates, and print the result."""
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64))
    reader = JsonlReader(str(folder / "documents"))
    signer = MinhashDedupSignature(str(folder / "signatures"), config=config)
    sample = [document.text for document in islice(reader.run(), SAMPLE)]
    signer.get_signature(signer.get_shingles(sample[0]))  # loads the tokenizer before the clock starts
    started = time.perf_counter()
    for text in sample:
        signer.get_signature(signer.get_shingles(text))
    signatures_per_second = len(sample) / (time.perf_counter() - started)

    started = time.perf_counter()
    signer.run(reader.run())
    buckets = MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=config)
    for bucket in range(config.num_buckets):
        buckets.run(rank=bucket, world_size=config.num_buckets)
    MinhashDedupCluster(str(folder / "buckets"), str(folder / "clusters"), config=config, save_cluster_id=True).run()
    seconds = time.perf_counter() - started

    ids = [document.id for document in reader.run()]
    data = (folder / "clusters" / "000000.clusters").read_bytes()
    found = {
        "seconds": seconds,
        "signatures_per_second": signatures_per_second,
        "peak_memory_bytes": peak_memory_bytes(),
        "clusters": {ids[number]: str(cluster) for number, cluster in struct.iter_unpack("<2I", data)},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
