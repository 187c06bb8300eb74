"""The command line without Weft's own: `python -m trainer.evaluate --help`, alone or by torchrun."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trainer.program import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status, as `run_command` does."""
    return run_command(lambda: _evaluate(arguments))


def _evaluate(arguments: Sequence[str] | None) -> None:
    from trainer.evaluate.session import EvalRequest, numbers, run, tasks_told

    parser = argparse.ArgumentParser(
        prog="python -m trainer.evaluate",
        description="Measure a trained decoder on public benchmarks, without a step of training.",
        epilog=f"Tasks:\n{tasks_told()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", required=True, help="exported weights, a checkpoint, or a run's folder")
    parser.add_argument("--task", required=True, action="append", metavar="NAME", help="repeatable; see below")
    parser.add_argument("--data", required=True, help="folder of the benchmarks: each in a folder of its name")
    parser.add_argument("--shots", default="0", help="examples shown before each question: 0,2,4,8 (%(default)s)")
    parser.add_argument("--rationale", action="store_true", help="let the model introduce each picture first")
    parser.add_argument("--output", help="folder of answers and results.json (CHECKPOINT/evaluation)")
    parser.add_argument("--tokenizer", help="its folder (the one beside the checkpoint)")
    parser.add_argument("--batch", type=int, default=32, help="examples answered at a time (%(default)s)")
    parser.add_argument("--limit", type=int, help="ask only so many examples of each task, chosen by the seed")
    parser.add_argument("--seed", type=int, default=0, help="of the shots and the limit (%(default)s)")
    parser.add_argument("--show-prompts", type=int, metavar="N", help="print the first N prompts and ask nothing")
    given = parser.parse_args(arguments)
    if given.batch < 1 or (given.limit is not None and given.limit < 1):
        parser.error("--batch and --limit are at least 1")
    output = None if given.output is None else Path(given.output)
    run(EvalRequest(given.checkpoint, tuple(given.task), Path(given.data), numbers(given.shots), given.rationale,
                output, given.tokenizer, given.batch, given.limit, given.seed, given.show_prompts))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
