"""webdataset with PyTorch's DataLoader, as its users write it; it tokenises and prepares images as Weft does."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch.utils.data import DataLoader
from torchvision.transforms import Compose, PILToTensor

from trainer.data import packing
from trainer.data.packing import PackedRow
from trainer.tokenizer import Tokenizer

Batch = tuple[torch.Tensor, torch.Tensor]  # rows (B, 4, T) and images (I, C, H, W), uint8


def samples(
    shards: Path,
    words: Tokenizer,
    corpus: str,
    preprocess: PreprocessCfg,
    slots: int,
    length: int,
    workers: int,
    num: int,
) -> Iterator[int]:
    """Yield the number of samples of each batch of `num`, forever."""
    *shape, _, _ = image_transform_v2(preprocess, is_train=False).transforms  # to the middle; then numbers, normalised
    prepare = partial(_prepare, words, corpus, Compose([*shape, PILToTensor()]), slots, length)
    tars = sorted(str(tar) for tar in (shards / corpus).glob("*.tar"))
    dataset = webdataset.WebDataset(tars, shardshuffle=False).decode("pilrgb").map(prepare).repeat()
    collated = dataset.batched(num, collation_fn=_collate, partial=False)
    for rows, _ in DataLoader(collated, batch_size=None, num_workers=workers):
        yield len(rows)


def _prepare(
    words: Tokenizer, corpus: str, shape: Callable[[Any], torch.Tensor], slots: int, length: int, sample: dict[str, Any]
) -> tuple[np.ndarray, list[torch.Tensor]]:
    if corpus == "caption":
        document = packing.caption(words, sample["txt"], "jpg", slots, length)
    else:
        document = packing.interleaved(words, sample["json"]["blocks"], slots)
    row = PackedRow.empty(length)
    row.add(document, 0, min(len(document.tokens_L), length), sample["__key__"])
    return row.columns(), [shape(sample[name]) for name in document.images]


def _collate(prepared: list[tuple[np.ndarray, list[torch.Tensor]]]) -> Batch:
    rows, images = zip(*prepared, strict=True)
    return torch.from_numpy(np.stack(rows)), torch.stack([image for of_one in images for image in of_one])
