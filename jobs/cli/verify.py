"""The command that checks a run's output."""

from typing import Annotated

import typer

from jobs.cli.options import AsJson, app


@app.command()
def verify(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", help="Output of a run, or a shards folder alone; a path or an address.")
    ],
    deep: Annotated[
        bool,
        typer.Option(
            "--deep/--quick",
            help="Read every row and decode every image; or trust files whose footer or SHA-256 is right.",
        ),
    ] = True,
    processes: Annotated[
        int | None, typer.Option(metavar="N", help="How many files at once; default: as many as cores.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a run's output is whole: every table, shard, sample and image. Needs neither Java nor Spark.

    Each defect is one line: file, sample, what is wrong; the remedy comes last. Exit status: 0 all good, 1 defects,
    2 nothing to check.

    Example: `weft verify OUT --quick`
    """
    from jobs.verify import show

    if not show(directory, deep, processes, as_json):
        raise typer.Exit(1)
