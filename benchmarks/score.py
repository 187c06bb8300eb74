"""Compare the scoring of images with the plain forward pass of the same model: `python -m benchmarks.score`.

Ours is the function that the step maps over its batches: encoded JPEGs in, embeddings out. The peer is open_clip's
encode_image on the same pictures as ready tensors, in batches of the same size. Both take their turn in one process, on
one core where there is no GPU, so that decoding beside the forward pass cannot hide on another. The weights are random:
no hub is needed, and a forward pass takes as long whatever they are.
"""

import io
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import open_clip
import pyarrow as pa
import torch
from PIL import Image

from benchmarks.pictures import grainy_jpeg
from benchmarks.results import report
from pipeline.score.clip import CPU, IMAGES, Encoder, choose, embed, load
from schemas.recipe import Clip

MODEL = "ViT-B-32"
SIDE_PIXELS = 512
NUM_BATCHES = 2  # in a round
NUM_ROUNDS = 5
GRAIN = 12  # 110 kB each


def main() -> None:
    """Measure, print and store the ratio."""
    device = choose((), torch.cuda.device_count(), os.getpid())
    if device == CPU:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.pt"
        torch.save(open_clip.create_model(MODEL).state_dict(), weights)
        config = Clip(model=MODEL, pretrained=str(weights))
        encoder = load(config, device)
        num = encoder.batch_size * NUM_BATCHES
        pictures = [grainy_jpeg(n, SIDE_PIXELS, GRAIN) for n in range(num)]
        print(f"{num} JPEGs of {np.mean([len(p) for p in pictures]) / 1000:.0f} kB on {encoder.device}")
        ready = _tensors(config, encoder, pictures)
        ours, peer = zip(*((_ours(config, pictures), _bare(encoder, ready)) for _ in range(NUM_ROUNDS)), strict=True)
    rates = num / median(ours), num / median(peer)
    report("score", {"images_per_second": (*rates, f"images/s of {MODEL}, one process, {encoder.device}")})


def _tensors(config: Clip, encoder: Encoder, pictures: list[bytes]) -> list[torch.Tensor]:
    """Prepare images with open_clip's preprocessing; batches on the device."""
    _, _, preprocess = open_clip.create_model_and_transforms(config.model, config.pretrained)
    rows = torch.stack([preprocess(Image.open(io.BytesIO(p))) for p in pictures])
    return list(rows.to(encoder.device).split(encoder.batch_size))


def _ours(config: Clip, pictures: list[bytes]) -> float:
    rows = pa.RecordBatch.from_pydict({"id": [str(n) for n in range(len(pictures))], IMAGES: pictures})
    started = time.perf_counter()
    assert sum(b.num_rows - b["embedding"].null_count for b in embed(config, IMAGES)(iter([rows]))) == len(pictures)
    return time.perf_counter() - started


def _bare(encoder: Encoder, batches: list[torch.Tensor]) -> float:
    gpu = encoder.device != CPU
    with encoder.on_device(), torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=gpu):
        started = time.perf_counter()
        for batch in batches:
            encoder.model.encode_image(batch, normalize=True)
        if gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
