"""The command that makes a run's report."""

from typing import Annotated

import typer

from jobs.cli.options import Master, To, app, renamed


@app.command()
def report(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="Output of a run, finished or not, or a shards folder alone; a path or an address."
        ),
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write; default: DIR/report.html.")
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", help="Samples to look at, of each corpus at most: each adds up to 30 kB.", min=0)
    ] = 100,
    master: Master = None,
    to: To = None,
) -> None:
    """Write one HTML file about a run, to open in a browser or hand on: it needs nothing beside it.

    The funnel with examples of what each rule took; how long documents, how large images and how good scores are;
    languages, hosts, licences, directives; the largest clusters of duplicates; and samples of each corpus to browse.
    The same run gives the same file, and a large run one that is about as large.

    Example: `weft report OUT --output report.html --samples 50`
    """
    from jobs.report import report as write
    from jobs.trouble import reading

    with reading(directory):
        write(directory, output or renamed("--to", "--output", to), samples, master)
