"""The command line without Weft's own: `python -m trainer.generate --help`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trainer.program import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status, as `run_command` does."""
    return run_command(lambda: _generate(arguments))


def _generate(arguments: Sequence[str] | None) -> None:
    from trainer import load
    from trainer.generate.chat import GenerateRequest, chat, check, show

    parser = argparse.ArgumentParser(
        prog="python -m trainer.generate", description="Go on with a prompt of words and images."
    )
    parser.add_argument("prompt", nargs="?", help="words; <image> says where an image stands, else they come first")
    parser.add_argument("--checkpoint", required=True, help="exported weights, a checkpoint, or a run's folder")
    parser.add_argument("--image", action="append", default=[], type=Path, help="an image; repeatable, in order")
    parser.add_argument("--input", type=Path, help='JSON lines of {"prompt": TEXT, "images": [PATH, ...]}')
    parser.add_argument("-i", "--interactive", action="store_true", help="answer the lines of standard input in turn")
    parser.add_argument("--tokenizer", help="its folder (the one beside the checkpoint)")
    parser.add_argument("--beam", type=int, default=1, help="beams; 1 takes the likeliest token each time")
    parser.add_argument("--length-penalty", type=float, default=1.0, help="beams rank by log p / length ** this")
    parser.add_argument("--max-tokens", type=int, default=64, help="tokens at most (%(default)s)")
    given = parser.parse_args(arguments)
    if min(given.beam, given.max_tokens) < 1:
        parser.error("--beam and --max-tokens are at least 1")
    check(given.prompt, given.input, given.interactive, given.image, given.beam)
    loaded = load.load(given.checkpoint, given.tokenizer)
    if given.interactive:
        chat(loaded, given.max_tokens)
    else:
        request = None if given.prompt is None else GenerateRequest(given.prompt, tuple(given.image))
        show(loaded, request, given.input, given.beam, given.length_penalty, given.max_tokens)


if __name__ == "__main__":
    sys.exit(main())
