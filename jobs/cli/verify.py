"""The command that checks a run's output."""

from typing import Annotated

import typer

from jobs.cli.options import AsJson, app


@app.command()
def verify(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="Output of a run, a shards folder, a tokenizer, or a checkpoint; a path or an address."
        ),
    ],
    deep: Annotated[
        bool,
        typer.Option(
            "--deep/--quick",
            help="Sum every file, read every row, decode every image; or sum every file and read what differs.",
        ),
    ] = True,
    processes: Annotated[
        int | None, typer.Option(metavar="N", help="How many files at once; default: as many as cores.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that an output is whole: every table, manifest, shard, sample, image, tokenizer and checkpoint.

    Every file is compared with its SHA-256, by --quick too. Not checked: Spark's event logs (_events), the cache
    of what sites allow (sites), logs of a training, and what `weft card` and `weft report` write. Needs neither Java
    nor Spark.

    Each defect is one line: file, sample, what is wrong; the remedy comes last. Exit status: 0 all good, 1 defects,
    2 nothing to check.

    Example: `weft verify OUT --quick`
    """
    from jobs.verify import show

    if not show(directory, deep, processes, as_json):
        raise typer.Exit(1)
