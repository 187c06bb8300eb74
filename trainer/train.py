"""Train: from shards and a tokenizer to a decoder that sees. `python -m trainer.train --help`, alone or by torchrun."""

import argparse
import sys
from collections.abc import Sequence

from trainer.program import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status, as `run_command` does."""
    return run_command(lambda: _train(arguments))


def _train(arguments: Sequence[str] | None) -> None:
    from trainer import config as configuration
    from trainer.loop import start

    parser = argparse.ArgumentParser(
        prog="python -m trainer.train",
        description="Train a decoder that reads text and sees images on Weft's shards.",
        epilog="several processes: torchrun --standalone --nproc-per-node 8 -m trainer.train --config ... --data ...",
    )
    names = ", ".join(configuration.shipped())
    parser.add_argument("--config", default="debug", help=f"one of {names}, or the path of a YAML file (%(default)s)")
    parser.add_argument("--from", dest="start", metavar="DIR", help="start from trained weights, and take their sizes")
    parser.add_argument("--data", required=True, help="what `weft run` wrote, or its shards folder; a path or a URL")
    parser.add_argument("--tokenizer", help="what `weft tokenizer` wrote (DATA/tokenizer)")
    parser.add_argument(
        "--output",
        help="folder for checkpoints, metrics and weights (DATA/checkpoints; with --from, DATA/checkpoints-NAME)",
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key, as steps=200")
    parser.add_argument("--overwrite", action="store_true", help="start anew where the output holds another run")
    given = parser.parse_args(arguments)
    places = (given.start, given.data, given.tokenizer, given.output)
    start(given.config, given.set, *places, given.overwrite)


if __name__ == "__main__":
    sys.exit(main())
