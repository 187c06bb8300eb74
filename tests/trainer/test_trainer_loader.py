import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from open_clip.transform import PreprocessCfg
from shardwriter import caption_sample, drawing, text_sample, write_shards

from schemas.errors import IntegrityError, PathError, RecipeError
from trainer.config import TrainConfig
from trainer.data.batches import MicroBatch
from trainer.data.loader import Loader
from trainer.data.packing import IGNORED
from trainer.data.shards import default_folder, open_shards
from trainer.tokenizer import Tokenizer

Config = Callable[..., TrainConfig]


def loader(data: Path, tokenizer: Tokenizer, config: TrainConfig, rank: int = 0, world: int = 1) -> Loader:
    return Loader(open_shards(str(data)), tokenizer, config, PreprocessCfg(size=32), rank, world)


def digests(source: Loader, num_steps: int) -> list[str]:
    return [step.digest for step in itertools.islice(source, num_steps)]


def rows(batch: MicroBatch) -> list[tuple[bytes, ...]]:
    """Every row that is not all padding, with the pixels of its images, as comparable bytes."""
    found, first = [], 0
    for tokens, image_mask, segments, targets in zip(
        batch.tokens_BT, batch.image_mask_BT, batch.segment_ids_BT, batch.targets_BT, strict=True
    ):
        last = first + int(image_mask.sum()) // 2
        if segments.any():
            tensors = (tokens, image_mask, segments, targets, batch.pixels_ICHW[first:last])
            found.append(tuple(t.numpy().tobytes() for t in tensors))
        first = last
    return found


@pytest.mark.parametrize("world", [2, 3])
def test_processes_divide_the_rows_of_one(data: Path, tokenizer: Tokenizer, tiny: Config, world: int) -> None:
    alone = loader(data, tokenizer, tiny())
    ranks = [loader(data, tokenizer, tiny(), rank, world) for rank in range(world)]
    for _ in range(5):
        whole, *parts = next(alone), *(next(r) for r in ranks)
        assert {p.digest for p in parts} == {whole.digest}
        assert len({tuple((b.corpus, len(b.tokens_BT)) for b in p.micro_batches) for p in parts}) == 1
        shared = [row for part in parts for batch in part.micro_batches for row in rows(batch)]
        assert sorted(shared) == sorted(row for batch in whole.micro_batches for row in rows(batch))
        assert all(len(batch.pixels_ICHW) for part in parts for batch in part.micro_batches)


def test_a_state_continues_on_another_number_of_processes(data: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    expected = digests(loader(data, tokenizer, tiny()), 8)
    first = loader(data, tokenizer, tiny(), rank=1, world=2)
    assert digests(first, 3) == expected[:3]
    second = loader(data, tokenizer, tiny(), rank=2, world=3)
    second.load_state(json.loads(json.dumps(first.state())))
    assert digests(second, 5) == expected[3:]
    assert any(c["token"] for s in second.state()["corpora"].values() for c in s["streams"])  # inside a document


def test_the_seed_determines_the_order(data: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    assert digests(loader(data, tokenizer, tiny()), 3) == digests(loader(data, tokenizer, tiny()), 3)
    assert digests(loader(data, tokenizer, tiny()), 3) != digests(loader(data, tokenizer, tiny("seed=1")), 3)


def test_the_mixture_counts_tokens(data: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    source = loader(data, tokenizer, tiny("data.tokens_per_step=960"))
    total = dict.fromkeys(source.shares, 0)
    for step in itertools.islice(source, 50):
        assert step.num_tokens == {
            c: sum(int((b.segment_ids_BT > 0).sum()) for b in step.micro_batches if b.corpus == c) for c in total
        }
        total = {c: total[c] + step.num_tokens[c] for c in total}
    for corpus, weight in {"text": 0.5, "caption": 0.5, "interleaved": 0.2}.items():
        assert total[corpus] == pytest.approx(50 * 960 * weight / 1.2, rel=0.01)


def test_an_epoch_reads_every_sample_once(tmp_path: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    texts = {f"t{i}": f"Number {i}." for i in range(7)}
    write_shards(tmp_path, {"text": [text_sample(key, text) for key, text in texts.items()]}, per_shard=3)
    source = loader(tmp_path, tokenizer, tiny("data.streams=1"))
    seen = []
    while len(seen) < 14:
        for batch in next(source).micro_batches:
            for tokens, segments in zip(batch.tokens_BT, batch.segment_ids_BT, strict=True):
                seen += [tokenizer.decode(tokens[segments == s].tolist()) for s in range(1, int(segments.max()) + 1)]
    assert sorted(seen[:7]) == sorted(seen[7:14]) == sorted(texts.values())
    assert seen[:7] != seen[7:14]


def test_a_missing_corpus_is_left_out_and_the_others_share(tmp_path: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    write_shards(
        tmp_path, {"text": [text_sample("a", "One.")], "caption": [caption_sample("b", "c", drawing("red", 0))]}
    )
    source = loader(tmp_path, tokenizer, tiny())
    assert source.left_out == ["interleaved"]
    assert source.shares == {"text": 0.5, "caption": 0.5}
    assert {b.corpus for b in next(source).micro_batches} == {"text", "caption"}
    with pytest.raises(RecipeError, match="no sample of: interleaved"):
        loader(tmp_path, tokenizer, tiny("data.mixture={text: 0, caption: 0}"))


@pytest.mark.parametrize("broken", [b"no image", drawing("red", 0)[:300], b""])
def test_a_damaged_image_is_named_and_masked_out_of_the_loss(
    tmp_path: Path, tokenizer: Tokenizer, tiny: Config, broken: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    captions = [caption_sample("good", "a red disc", drawing("red", 0)), caption_sample("bad", "a blue disc", broken)]
    write_shards(tmp_path, {"caption": captions})
    source = loader(tmp_path, tokenizer, tiny())
    learned = ""
    for step in itertools.islice(source, 5):
        for batch in step.micro_batches:
            learned += tokenizer.decode(batch.targets_BT[batch.targets_BT != IGNORED].tolist())
            assert torch.isfinite(batch.pixels_ICHW).all()
    assert list(source.skipped.reasons) == ["bad.jpg"]
    assert capsys.readouterr().err.count("bad.jpg of caption/caption-00000.tar") == 1
    assert "red" in learned
    assert "blue" not in learned


def test_a_damaged_text_is_named_and_skipped(tmp_path: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    bad = ("bad", {"json": b"{}", "txt": b"\xff\xfe"})
    write_shards(tmp_path, {"text": [text_sample("good", "One."), bad], "interleaved": [("worse", {"json": b"{"})]})
    source = loader(tmp_path, tokenizer, tiny("data.mixture.interleaved=0", "data.streams=1"))
    next(source)
    assert list(source.skipped.reasons) == ["bad"]
    with pytest.raises(IntegrityError, match="no sample of interleaved"):
        next(loader(tmp_path, tokenizer, tiny()))


def test_truncated_and_missing_shards_are_an_error(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "shards", tmp_path / "shards")
    tar = tmp_path / "shards/text/text-00000.tar"
    tar.write_bytes(tar.read_bytes()[:-512])
    with pytest.raises(IntegrityError, match=r"text-00000\.tar"):
        open_shards(str(tmp_path))
    tar.unlink()
    with pytest.raises(IntegrityError, match=r"text-00000\.tar"):
        open_shards(str(tmp_path))
    with pytest.raises(PathError, match=r"no shards\.json"):
        open_shards(str(tmp_path / "shards/text"))


def test_a_run_s_folder_its_shards_and_a_url_are_the_same(data: Path) -> None:
    folders = (str(data), str(data / "shards"), f"file://{data}", f"{data}/shards/")
    assert len({open_shards(f).fingerprint for f in folders}) == 1
    assert {default_folder(f, "tokenizer").removeprefix("file://") for f in folders} == {str(data / "tokenizer")}


def test_a_state_of_other_shards_is_an_error(data: Path, tmp_path: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    write_shards(tmp_path, {"text": [text_sample("a", "One.")]})
    state = loader(tmp_path, tokenizer, tiny()).state()
    with pytest.raises(RecipeError, match="another shards"):
        loader(data, tokenizer, tiny()).load_state(state)
