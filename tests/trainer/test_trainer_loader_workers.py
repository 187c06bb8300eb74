"""The loader with workers: the same steps for any number of them, and none outlives its process."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from open_clip.transform import PreprocessCfg
from shardwriter import text_sample, write_shards

from schemas.errors import IntegrityError, WeftError
from tests.processes import children, is_alive
from trainer.config import TrainConfig
from trainer.data.batches import TrainStep
from trainer.data.loader import Loader
from trainer.data.shards import open_shards
from trainer.tokenizer import Tokenizer

Config = Callable[..., TrainConfig]


def loader(data: Path, tokenizer: Tokenizer, config: TrainConfig, rank: int = 0, world: int = 1) -> Loader:
    return Loader(open_shards(str(data)), tokenizer, config, PreprocessCfg(size=32), rank, world)


def equal(one: TrainStep, other: TrainStep) -> bool:
    """Whether two steps are the same to the last byte of their images."""
    names = ("tokens_BT", "image_mask_BT", "segment_ids_BT", "targets_BT", "bytes_IHWC")
    pairs = zip(one.micro_batches, other.micro_batches, strict=True)
    return one.digest == other.digest and all(
        torch.equal(getattr(a, n), getattr(b, n)) for a, b in pairs for n in names
    )


@pytest.fixture(scope="module")
def alone(data: Path, tokenizer: Tokenizer, tiny: Config) -> list[TrainStep]:
    """Eight steps of one process without workers."""
    return list(itertools.islice(loader(data, tokenizer, tiny()), 8))


@pytest.mark.parametrize("num_workers", [1, 3])
def test_any_number_of_workers_gives_the_same_steps(
    data: Path, tokenizer: Tokenizer, tiny: Config, alone: list[TrainStep], num_workers: int
) -> None:
    with loader(data, tokenizer, tiny(f"data.workers={num_workers}")) as source:
        assert all(equal(a, b) for a, b in zip(alone, source, strict=False))


@pytest.mark.parametrize("num_workers", [0, 1, 3])
@pytest.mark.parametrize("world", [2, 4])
def test_any_number_of_processes_and_workers_gives_the_same_digests(
    data: Path, tokenizer: Tokenizer, tiny: Config, alone: list[TrainStep], world: int, num_workers: int
) -> None:
    for rank in (0, world - 1):
        with loader(data, tokenizer, tiny(f"data.workers={num_workers}"), rank, world) as source:
            assert [step.digest for step in itertools.islice(source, 8)] == [step.digest for step in alone]


def test_a_state_is_that_of_the_last_step_returned(
    data: Path, tokenizer: Tokenizer, tiny: Config, alone: list[TrainStep]
) -> None:
    """From two processes to one and back, with other workers each time, and in spite of prefetched steps."""
    state = loader(data, tokenizer, tiny()).state()
    at, split_rows, epochs = 0, set(), set()
    for world, num_workers, num_steps in ((2, 1, 3), (1, 0, 2), (2, 3, 3)):
        with loader(
            data, tokenizer, tiny(f"data.workers={num_workers}", "data.prefetch_steps=3"), 1 % world, world
        ) as source:
            source.load_state(json.loads(json.dumps(state)))
            digests = [step.digest for step in itertools.islice(source, num_steps)]
            assert digests == [step.digest for step in alone[at : at + num_steps]]
            at, state = at + num_steps, source.state()
        assert state["step"] == at
        for corpus, position in state["corpora"].items():
            split_rows |= {corpus for stream in position["streams"] if stream["token"]}
            epochs |= {corpus for stream in position["streams"] if stream["position"]}
    assert epochs == {"text", "caption", "interleaved"}  # inside streams, and so inside shards
    assert split_rows == {"text", "interleaved"}  # inside documents; captions are never split


def test_closing_ends_the_workers_and_the_next_step_starts_them_again(
    data: Path, tokenizer: Tokenizer, tiny: Config, alone: list[TrainStep]
) -> None:
    before = children(os.getpid())
    source = loader(data, tokenizer, tiny("data.workers=2"))
    assert next(source).digest == alone[0].digest
    assert len(children(os.getpid()) - before) == 2
    source.close()
    source.close()
    assert children(os.getpid()) == before
    assert next(source).digest == alone[1].digest
    source.close()


def test_a_killed_worker_is_an_error(data: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    before = children(os.getpid())
    with loader(data, tokenizer, tiny("data.workers=1", "data.prefetch_steps=1")) as source:
        next(source)
        (worker,) = children(os.getpid()) - before
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(WeftError, match=f"loader worker {worker} died"):
            for _ in range(1000):
                next(source)
        with pytest.raises(WeftError, match="died"):
            next(source)


def test_an_error_of_a_worker_is_raised_in_the_loader(tmp_path: Path, tokenizer: Tokenizer, tiny: Config) -> None:
    write_shards(tmp_path, {"text": [text_sample("good", "One.")], "interleaved": [("bad", {"json": b"{"})]})
    with (
        loader(tmp_path, tokenizer, tiny("data.workers=1")) as source,
        pytest.raises(IntegrityError, match="no sample of interleaved"),
    ):
        next(source)


@pytest.mark.parametrize(
    "ending",
    [
        "raise SystemExit(3)",
        pytest.param("pass", marks=pytest.mark.slow),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", marks=pytest.mark.slow),
    ],
)
def test_no_worker_outlives_its_process(data: Path, ending: str) -> None:
    """After a normal end, an exception, or a kill. SIGTERM ends no worker."""
    here = Path(__file__).parent
    program = f"""
import os, signal, sys, time
sys.path[:0] = [{str(here)!r}, {str(here.parents[1])!r}]
from pathlib import Path
from conftest import TINY
from test_trainer_loader_workers import loader
from tests.processes import children
from trainer import config, tokenizer
trained = tokenizer.load({str(data / "tokenizer")!r})
source = loader(Path({str(data)!r}), trained, config.load("debug", [*TINY, "data.workers=2"]))
next(source)
workers = children(os.getpid())
for worker in workers:
    os.kill(worker, signal.SIGTERM)
for _ in range(5):
    next(source)
print(*workers, flush=True)
{ending}
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.returncode == {"pass": 0, "raise SystemExit(3)": 3}.get(ending, -signal.SIGKILL), ended.stderr
    workers = [int(worker) for worker in ended.stdout.split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 120
    while any(is_alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(worker) for worker in workers)
