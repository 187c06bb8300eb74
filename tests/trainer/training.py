"""Start runs, in this process or another, stop them at a step, and compare their results."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

from trainer import metrics
from trainer.config import TrainConfig
from trainer.load import Saved
from trainer.loop import Summary, run
from trainer.model.kosmos import Kosmos
from trainer.tokenizer import Tokenizer

ROOT = Path(__file__).parents[2]


def untrained(tokenizer: Tokenizer, config: TrainConfig, seed: int) -> Saved:
    """Return an untrained model, ready to generate."""
    torch.manual_seed(seed)
    return Saved(Kosmos(config, tokenizer.vocab_size).eval(), tokenizer, config, torch.device("cpu"))


def train(config: TrainConfig, data: Path, output: Path, overwrite: bool = False) -> Summary:
    return run(config, str(data), str(data / "tokenizer"), str(output), overwrite)


def launch(config: TrainConfig, data: Path, output: Path, *torchrun: str, before: str = "") -> subprocess.Popen[bytes]:
    """Start a run in another process, by torchrun if its options are given; `before` is Python code to run first."""
    path = output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    command = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", *torchrun] if torchrun else []
    program = ["-m", "trainer"] if not before else ["-c", f"{before}\nfrom trainer.cli import main\nmain()"]
    command += [*program, "train", f"--config={path}", f"--data={data}", f"--output={output}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *command], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL)


def finished(process: subprocess.Popen[bytes]) -> int:
    """Wait for a run in another process; return its exit status. A run that hangs is killed."""
    try:
        return process.wait(400)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(40)  # torchrun gives its processes 30 s
        raise


def when_written(output: Path, num_lines: int, do: Callable[[], None]) -> threading.Thread:
    """Call a function as soon as a run has logged so many steps."""

    def watch() -> None:
        deadline = time.monotonic() + 400
        while num_written(output) < num_lines:
            if time.monotonic() > deadline:
                return
            time.sleep(0.002)
        do()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def num_written(output: Path) -> int:
    path = output / metrics.FILE
    return path.read_text().count("\n") if path.exists() else 0


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "model" / "model.safetensors")


def assert_same_run(one: Path, other: Path) -> None:
    """Batches, losses and weights are equal bit for bit."""
    for a, b in zip(metrics.read(one), metrics.read(other), strict=True):
        assert (a.step, a.batch, a.loss, a.gradient_norm) == (b.step, b.batch, b.loss, b.gradient_norm)
    assert weights(one).keys() == weights(other).keys()
    assert all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


def assert_like_run(one: Path, other: Path, within: float = 1e-6) -> None:
    """Batches are equal; losses and weights are equal but for the order of sums."""
    for a, b in zip(metrics.read(one), metrics.read(other), strict=True):
        assert (a.step, a.batch) == (b.step, b.batch)
        for corpus, loss in a.loss.items():
            torch.testing.assert_close(loss, b.loss[corpus], rtol=0, atol=10 * within)
    for name, tensor in weights(one).items():
        torch.testing.assert_close(tensor, weights(other)[name], rtol=0, atol=within, msg=name)
