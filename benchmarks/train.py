"""Compare the loader with webdataset on the same shards: `python -m benchmarks.train`.

Both read tars of captions and of interleaved documents, tokenise, and make of every JPEG a square of bytes, in as many
worker processes. Ours also shuffles, packs whole sentences into rows, keeps the mixture and can resume anywhere. The
peer is webdataset behind PyTorch's DataLoader as its users write it: samples in the order of the tar, each a padded row
of its own, open_clip's own transform on the image decoded whole. Then the model itself: benchmarks/train_model.py.
"""

import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import harmonic_mean, median

import torch
from open_clip.transform import PreprocessCfg

from benchmarks import train_peer
from benchmarks.results import report
from benchmarks.train_model import model_measures
from benchmarks.train_shards import make
from trainer import tokenizer
from trainer.config import load
from trainer.data.loader import Loader
from trainer.data.shards import open_shards
from trainer.tokenizer import BOS, Tokenizer

WORKERS = 2
LENGTH, SLOTS = 2048, 64
PREPROCESS = PreprocessCfg(size=224)
NUM_ROUNDS = 3
SECONDS = 6  # of a round, once the workers have started
LENGTH_OF_A_PEER_S_ROW = {"caption": 128, "interleaved": 512}  # what holds the longest sample
SAMPLES_OF_A_STEP = {"caption": 64, "interleaved": 16}


def main() -> None:
    """Measure in turn, print and store the ratios."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        words = tokenizer.load(f"{folder}/tokenizer")
        unit = f"samples/s of {WORKERS} workers"
        measures = {}
        for corpus in SAMPLES_OF_A_STEP:
            rounds = [(_ours(folder, words, corpus), _peer(folder, words, corpus)) for _ in range(NUM_ROUNDS)]
            ours, peer = (median(rates) for rates in zip(*rounds, strict=True))
            measures[f"loader_samples_per_second_{corpus}"] = (ours, peer, unit)
        # as many samples of the one as of the other
        ours, peer = (harmonic_mean([measure[i] for measure in measures.values()]) for i in (0, 1))
        report("train", {"loader_samples_per_second": (ours, peer, unit), **measures, **model_measures()})


def _ours(folder: Path, words: Tokenizer, corpus: str) -> float:
    mixture = ", ".join(f"{c}: {int(c == corpus)}" for c in ("text", "caption", "interleaved"))
    tokens = SAMPLES_OF_A_STEP[corpus] * LENGTH_OF_A_PEER_S_ROW[corpus]
    overrides = (
        f"data.sequence_length={LENGTH}", f"data.tokens_per_step={tokens}", f"data.mixture={{{mixture}}}",
        "data.streams=16", f"data.workers={WORKERS}", "data.prefetch_steps=2", f"vision.latents={SLOTS}",
    )  # fmt: skip
    with Loader(open_shards(str(folder)), words, load("debug", overrides), PREPROCESS, 0, 1) as loader:
        return _rate(sum(int((b.tokens_BT == BOS).sum()) for b in step.micro_batches) for step in loader)


def _peer(folder: Path, words: Tokenizer, corpus: str) -> float:
    length, num = LENGTH_OF_A_PEER_S_ROW[corpus], SAMPLES_OF_A_STEP[corpus]
    return _rate(train_peer.samples(folder / "shards", words, corpus, PREPROCESS, SLOTS, length, WORKERS, num))


def _rate(counts: Iterator[int]) -> float:
    """Return samples per second over SECONDS, after the samples prefetched at the start are used up."""
    sum(islice(counts, 2 * WORKERS + 2))
    started, num = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < SECONDS:
        num += next(counts)
    return num / elapsed


if __name__ == "__main__":
    main()
