"""Image grounding: an overfitted model generates the caption of each image, also when images are swapped.

It uses the pipeline's shards, a training run, and generation with the exported weights.
"""

import json
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest
from shardwriter import write_shards
from webs import Finished

from trainer import metrics
from trainer.config import load
from trainer.generate.chat import GenerateRequest, generate
from trainer.load import Saved
from trainer.load import load as load_saved
from trainer.loop import Summary, run
from trainer.train_tokenizer import train_tokenizer

NUM_CAPTIONS, NUM_DOCUMENTS = 32, 8
STEPS = 300

Sample = tuple[str, dict[str, bytes]]


def samples(shards: Path, corpus: str) -> list[Sample]:
    """Read all samples of a corpus, as any reader of tars would."""
    found: dict[str, dict[str, bytes]] = defaultdict(dict)
    for path in sorted((shards / corpus).glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    key, _, name = member.name.partition(".")
                    found[key][name] = file.read()
    return sorted(found.items())


def distinct(captions: list[Sample]) -> list[Sample]:
    """Keep one sample of each caption and each image, so that captions are unambiguous."""
    texts, images, kept = set(), set(), []
    for key, members in captions:
        image = json.loads(members["json"])["sha256"]
        if members["txt"] not in texts and image not in images:
            kept.append((key, members))
        texts.add(members["txt"])
        images.add(image)
    return kept


def overfit(shards: Path, folder: Path) -> tuple[Summary, list[Sample]]:
    captions = distinct(samples(shards, "caption"))[:NUM_CAPTIONS]
    documents = samples(shards, "interleaved")[:NUM_DOCUMENTS]
    assert (len(captions), len(documents)) == (NUM_CAPTIONS, NUM_DOCUMENTS)
    write_shards(folder / "shards", {"caption": captions, "interleaved": documents})
    train_tokenizer(str(folder), str(folder / "tokenizer"), vocab_size=600)
    config = load("debug", [f"steps={STEPS}", "data.workers=0", "checkpoint.every_steps=1000"])
    return run(config, str(folder), str(folder / "tokenizer"), str(folder / "checkpoints")), captions


def generated(saved: Saved, paths: list[Path]) -> list[str]:
    return list(generate(saved, [GenerateRequest("", (path,)) for path in paths]))


@pytest.mark.slow  # two minutes on an idle core, in addition to the finished run
def test_swapping_the_images_swaps_the_captions(finished: Finished, tmp_path: Path) -> None:
    summary, captions = overfit(finished.output / "shards", tmp_path)
    assert metrics.read(tmp_path / "checkpoints")[-1].loss.keys() == {"caption", "interleaved"}
    assert all(loss < 0.05 for loss in summary.last_loss.values()), summary.last_loss
    paths, texts = [], []
    for key, members in captions:
        paths.append(tmp_path / f"{key}.jpg")
        paths[-1].write_bytes(members["jpg"])
        texts.append(members["txt"].decode())
    saved = load_saved(str(tmp_path))
    assert generated(saved, paths) == texts
    assert generated(saved, paths[::-1]) == texts[::-1]
