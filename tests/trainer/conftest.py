"""Fixtures of the trainer's tests: shards of captioned images, documents and texts, a tokenizer, a configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shardwriter import COLOURS, caption_sample, drawing, interleaved_sample, text_sample, write_shards

from trainer import tokenizer as tokenizers
from trainer.config import TrainConfig, load
from trainer.tokenizer import Tokenizer
from trainer.train_tokenizer import train_tokenizer

TINY = (
    "steps=10", "model.layers=2", "model.width=64", "model.ffn_width=128", "model.heads=2",
    "vision.tower={image_size: 32, patch_size: 16, width: 32, layers: 2, heads: 2}", "vision.latents=2",
    "data.sequence_length=64", "data.tokens_per_step=480", "data.rows_per_micro_step=2", "data.streams=3",
    "data.workers=0", "optimizer.warmup_steps=2", "checkpoint.every_steps=100",
)  # fmt: skip

TEXT = "The old harbour looks over the sea. Is it older than the bridge? Nobody knows!\nA small bakery stands near it."


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with shards and a tokenizer."""
    folder = tmp_path_factory.mktemp("run")
    colours = list(COLOURS)
    captions = [
        caption_sample(f"c{i:03}", f"a {colours[i % 4]} disc on white", drawing(colours[i % 4], i)) for i in range(24)
    ]
    documents = [
        interleaved_sample(
            f"d{i:03}",
            ["Two discs follow. The first is here.", drawing(colours[i % 4], i), f"It is {colours[i % 4]}.",
             drawing(colours[(i + 1) % 4], i + 1), "That was the second one. It ends here."],
        )
        for i in range(10)
    ]  # fmt: skip
    texts = [text_sample(f"t{i:03}", " ".join([TEXT] * (1 + i % 4)) + f" Number {i}.") for i in range(20)]
    write_shards(folder / "shards", {"interleaved": documents, "caption": captions, "text": texts})
    train_tokenizer(str(folder), str(folder / "tokenizer"), vocab_size=500)
    return folder


@pytest.fixture(scope="session")
def tokenizer(data: Path) -> Tokenizer:
    return tokenizers.load(str(data / "tokenizer"))


@pytest.fixture(scope="session")
def tiny() -> Callable[..., TrainConfig]:
    """Load a configuration that trains a step in a few hundredths of a second, with more overrides."""
    return lambda *overrides: load("debug", [*TINY, *overrides])
