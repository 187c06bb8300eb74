"""Missing, truncated and remote shards, damaged samples, image preprocessing, and validation."""

import io
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from shardwriter import caption_sample, drawing, interleaved_sample, text_sample, write_shards

from schemas.errors import IntegrityError, PathError, RecipeError, TransientError
from schemas.shards import VALIDATION
from trainer.config import TrainConfig
from trainer.data import corpus
from trainer.data.batches import MicroBatch, Scale, framing, validation
from trainer.data.loader import Loader
from trainer.data.shards import open_shards
from trainer.data.streams import Framing, RowSource, SampledRow
from trainer.tokenizer import Tokenizer

Config = Callable[..., TrainConfig]
PREPROCESS = PreprocessCfg(size=32)


@pytest.fixture
def damaged(data: Path, tmp_path: Path) -> Path:
    """Shards of which one is missing, one has no index, and one is truncated inside its fourth sample."""
    shutil.copytree(data / "shards", tmp_path / "shards")
    (tmp_path / "shards/text/text-00000.tar").unlink()
    (tmp_path / "shards/interleaved/interleaved-00000.index.parquet").rename(tmp_path / "index")
    sample = open_shards(str(data)).corpora["caption"].samples(3, 4)[0]
    assert sample is not None
    tar = tmp_path / "shards/caption/caption-00000.tar"
    tar.write_bytes(tar.read_bytes()[: sample.members["jpg"][0] + 10])
    return tmp_path


def test_missing_shards_can_be_skipped_and_are_counted(damaged: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    with pytest.raises(IntegrityError, match=r"is missing \(and 2 more\); copy .* data.on_missing=skip"):
        open_shards(str(damaged))
    shards = open_shards(str(damaged), on_missing="skip")
    assert {lost.tar: lost.num_samples for lost in shards.lost} == {
        "text/text-00000.tar": 16, "caption/caption-00000.tar": 13, "interleaved/interleaved-00000.tar": 10,
    }  # fmt: skip
    config = tiny("data.mixture.interleaved=0")
    runs = [Loader(shards, tokenizer, config, PREPROCESS, rank, world) for rank, world in ((0, 1), (0, 2), (1, 2))]
    runs.append(Loader(shards, tokenizer, tiny("data.mixture.interleaved=0", "data.workers=1"), PREPROCESS, 0, 1))
    for steps in itertools.islice(zip(*runs, strict=True), 6):
        assert len({step.digest for step in steps}) == 1
        assert not any(step.skipped for step in steps)  # they are counted once, when the shards are opened
    runs[-1].close()
    with pytest.raises(IntegrityError, match="no sample of interleaved"):
        next(Loader(shards, tokenizer, tiny(), PREPROCESS, 0, 1))


def test_a_checkpoint_resumes_after_a_shard_is_lost(
    data: Path, damaged: Path, tokenizer: Tokenizer, tiny: Config
) -> None:
    config = tiny("data.mixture.interleaved=0")
    first = Loader(open_shards(str(data)), tokenizer, config, PREPROCESS, 0, 1)
    next(first)
    second = Loader(open_shards(str(damaged), on_missing="skip"), tokenizer, config, PREPROCESS, 0, 1)
    second.load_state(first.state())
    assert sum(next(second).num_tokens.values()) > 0


def test_each_damaged_sample_is_reported_by_one_process(tmp_path: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    """For any number of processes and workers, the steps skip the same samples in total."""
    captions = [caption_sample(f"c{i}", f"number {i}", drawing("red", i) if i % 5 else b"no image") for i in range(20)]
    texts = [text_sample(f"t{i}", f"Number {i}.") for i in range(20)] + [("bad", {"json": b"{}", "txt": b"\xff"})]
    documents = [interleaved_sample(f"d{i}", ["One.", drawing("blue", i)]) for i in range(4)] + [
        ("worse", {"json": b"{"})
    ]
    write_shards(tmp_path, {"caption": captions, "text": texts, "interleaved": documents}, per_shard=7)
    shards = open_shards(str(tmp_path))
    found = []
    for world, num_workers in ((1, 0), (3, 0), (2, 1)):
        runs = [
            Loader(shards, tokenizer, tiny(f"data.workers={num_workers}"), PREPROCESS, rank, world)
            for rank in range(world)
        ]
        steps = [list(itertools.islice(run, 5)) for run in runs]
        found.append([sorted(name for step in at for name, _ in step.skipped) for at in zip(*steps, strict=True)])
        assert {"c0.jpg", "bad", "worse"} <= set.union(*(set(run.skipped.reasons) for run in runs))
        for run in runs:
            run.close()
    assert found[0] == found[1] == found[2]


class Flaky(MemoryFileSystem):
    """A remote file system: some reads fail, and tars are read by ranges only."""

    protocol = "flaky"
    every = 3
    num_reads = 0

    @classmethod
    def _strip_protocol(cls, path):  # type: ignore[no-untyped-def]
        return super()._strip_protocol(path.replace("flaky://", "memory://"))

    def cat_file(self, path, start=None, end=None, **kwargs):  # type: ignore[no-untyped-def]
        Flaky.num_reads += 1
        if Flaky.num_reads % Flaky.every == 0:
            raise ConnectionError("reset by peer")
        assert start is not None or not path.endswith(".tar")
        return super().cat_file(path, start, end, **kwargs)


@pytest.fixture
def flaky(data: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same shards on a file system whose reads sometimes fail."""
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(corpus, "FIRST_PAUSE_SECONDS", 0)
    fs = fsspec.filesystem("flaky")
    for path in (data / "shards").rglob("*"):
        if path.is_file():
            fs.pipe_file(f"/run/shards/{path.relative_to(data / 'shards')}", path.read_bytes())
    return "flaky://run"


def test_remote_shards_are_read_by_ranges_with_retries(
    data: Path, flaky: str, tokenizer: Tokenizer, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, remote = (Loader(open_shards(d), tokenizer, tiny(), PREPROCESS, 0, 1) for d in (str(data), flaky))
    monkeypatch.setattr(Flaky, "every", 40)
    assert [next(local).digest for _ in range(4)] == [next(remote).digest for _ in range(4)]
    monkeypatch.setattr(Flaky, "every", 1)
    with pytest.raises(TransientError, match=r"in 6 attempts: ConnectionError\('reset by peer'\)"):
        for _ in range(20):
            next(remote)
    with pytest.raises(PathError, match="cannot be read"):
        open_shards(str(data)).corpora["text"]._files.ranges([("text/gone.tar", 0, 1)])


@pytest.mark.parametrize("size", [(64, 48), (31, 90), (32, 32), (200, 33)])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_images_are_preprocessed_as_by_open_clip(size: tuple[int, int], mode: str) -> None:
    preprocess = PreprocessCfg(size=32, resize_mode=mode)  # type: ignore[arg-type]
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    expected = image_transform_v2(preprocess, is_train=False)(Image.fromarray(noise))
    framed = np.asarray(framing(preprocess).frame(Image.fromarray(noise)))
    nothing = torch.zeros(1)
    scale = Scale(tuple(preprocess.mean), tuple(preprocess.std))
    found = MicroBatch("", nothing, nothing, nothing, nothing, torch.from_numpy(framed.copy())[None], scale).pixels_ICHW
    level = 1 / 255 / min(preprocess.std)
    assert (found[0] - expected).abs().max() <= 1.01 * level  # one level, from rounding
    assert ((found[0] - expected).abs() > 1e-6).float().mean() < 0.02


def test_scaled_decoding_of_a_large_jpeg_is_accurate() -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(drawing("red", 0))).resize((640, 512)).save(file, "JPEG", quality=95)
    small = Framing(64).decode(file.getvalue()).astype(int)
    whole = np.asarray(Framing(64).frame(Image.open(io.BytesIO(file.getvalue())).convert("RGB"))).astype(int)
    assert small.shape == (64, 64, 3)
    assert np.abs(small - whole).mean() < 2


def test_an_unsupported_preprocessing_is_an_error() -> None:
    with pytest.raises(RecipeError, match="longest"):
        framing(PreprocessCfg(size=32, resize_mode="longest"))


def test_validation_reads_held_out_samples_once(tmp_path: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    write_shards(tmp_path, {"text": [text_sample("a", "To learn from.")]})
    texts = {f"v{i}": f"Held out, number {i}." for i in range(9)}
    captions = [caption_sample(f"w{i}", f"disc {i}", drawing("green", i)) for i in range(5)]
    held_out = {"text": [text_sample(key, text) for key, text in texts.items()], "caption": captions}
    write_shards(tmp_path, held_out, split=VALIDATION)
    assert len(open_shards(str(tmp_path)).corpora["text"]) == 1
    shards = open_shards(str(tmp_path), VALIDATION)

    def read(rank: int, world: int, *overrides: str) -> list[MicroBatch]:
        return list(validation(shards, tokenizer, tiny(*overrides), PREPROCESS, rank, world))

    def texts_of(batches: list[MicroBatch]) -> list[str]:
        return sorted(
            tokenizer.decode(tokens[segments == s].tolist())
            for b in batches
            for tokens, segments in zip(b.tokens_BT, b.segment_ids_BT, strict=True)
            for s in range(1, int(segments.max()) + 1)
        )

    whole = read(0, 1)
    assert texts_of(whole) == texts_of(read(0, 1)) == sorted([*texts.values(), *(f"disc {i}" for i in range(5))])
    parts = [read(rank, 3) for rank in range(3)]
    assert texts_of([b for part in parts for b in part]) == texts_of(whole)
    assert len({tuple((b.corpus, len(b.tokens_BT)) for b in part) for part in parts}) == 1
    assert len([b for b in read(0, 1, "data.validation_rows=1") if b.corpus == "text"]) == 1


@pytest.mark.parametrize("world", [1, 2])
def test_validation_decodes_one_batch_at_a_time(
    tmp_path: Path, tokenizer: Tokenizer, tiny: Config, monkeypatch: pytest.MonkeyPatch, world: int
) -> None:
    captions = [caption_sample(f"w{i}", "A disc. " * 20, drawing("green", i)) for i in range(12)]
    write_shards(tmp_path, {"caption": captions}, split=VALIDATION)
    shards, take, sampled = open_shards(str(tmp_path), VALIDATION), RowSource.take, []

    def counted(source: RowSource, corpus: str, index: int) -> SampledRow:
        sampled.append(index)
        return take(source, corpus, index)

    monkeypatch.setattr(RowSource, "take", counted)
    config = tiny("data.rows_per_micro_step=2", "data.validation_rows=11")
    num_sampled = [len(sampled) for _ in validation(shards, tokenizer, config, PREPROCESS, 0, world)]
    assert num_sampled == [*range(2 * world, 11, 2 * world), 11]
