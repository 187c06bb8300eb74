"""Shards for timing loaders: drawings with noise like that of photographs, as captions and documents."""

import json
from pathlib import Path

import numpy as np

from benchmarks.pictures import grainy_jpeg
from pipeline.io.store import Store
from pipeline.shards.write import ShardSample, ShardWriter
from schemas.shards import LISTING, TRAIN, VERSION
from trainer.train_tokenizer import train_tokenizer

SIDE_PIXELS = 512
GRAIN = 8  # about 90 kB each, as photographs of this size
NUM_PICTURES = 96  # distinct ones, which samples share: none is kept decoded, so each costs as if it were the first
NUM_SAMPLES = {"caption": 768, "interleaved": 256}
NUM_SHARDS = 4  # of each corpus
IMAGES_OF_A_DOCUMENT = 3
PROSE = "The old harbour looks over the sea, and boats come in with the tide. Nobody knows how old its walls are. "


def make(folder: Path) -> None:
    """Write shards of both corpora to `folder`, and a tokenizer."""
    store = Store(str(folder))
    pictures = [grainy_jpeg(number, SIDE_PIXELS, GRAIN) for number in range(NUM_PICTURES)]
    print(f"JPEGs of {np.mean([len(p) for p in pictures]) / 1000:.0f} kB")
    entries = []
    for corpus, num in NUM_SAMPLES.items():
        for shard in range(NUM_SHARDS):
            writer = ShardWriter(store, corpus, TRAIN, shard)
            for number in range(shard, num, NUM_SHARDS):
                members = _caption(number, pictures) if corpus == "caption" else _document(number, pictures)
                writer.add(_sample(f"{corpus}{number:06}", members))
            entries.append(writer.close())
    store.write_json(store.at("shards", LISTING), {"version": VERSION, "shards": entries})
    train_tokenizer(str(folder), str(folder / "tokenizer"), vocab_size=1000)


def _sample(key: str, members: list[tuple[str, bytes]]) -> ShardSample:
    nothing = {"language": "en", "host": "", "num_words": 0, "num_characters": 0}
    return ShardSample(key, members, {**nothing, "key": key, "widths": [], "heights": [], "scores": []})


def _caption(number: int, pictures: list[bytes]) -> list[tuple[str, bytes]]:
    words = f"drawing number {number} of a thing or two on a plain ground, seen from the front"
    return [("jpg", pictures[number % NUM_PICTURES]), ("json", b"{}"), ("txt", words.encode())]


def _document(number: int, pictures: list[bytes]) -> list[tuple[str, bytes]]:
    blocks, images = [{"kind": "text", "text": f"Page {number}.", "image": ""}], []
    for i in range(IMAGES_OF_A_DOCUMENT):
        images.append((f"{i}.jpg", pictures[(number * IMAGES_OF_A_DOCUMENT + i) % NUM_PICTURES]))
        blocks += [{"kind": "image", "text": "", "image": f"{i}.jpg"}, {"kind": "text", "text": PROSE * 3, "image": ""}]
    return [("json", json.dumps({"blocks": blocks}).encode()), *images]
