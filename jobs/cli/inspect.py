"""The commands that tell what a run made, and what became of each thing."""

from typing import Annotated, Literal

import typer

from jobs.cli.options import AsJson, app


@app.command()
def stats(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Output of a run, or its shards folder.")],
    as_json: AsJson = False,
    funnel: Annotated[
        bool, typer.Option("--funnel", help="Print what every step took instead; the shards need not be there yet.")
    ] = False,
    by: Annotated[
        Literal["rule", "host"] | None,
        typer.Option(help="The funnel by rule, which is what --funnel prints, or by host."),
    ] = None,
    limit: Annotated[int, typer.Option(help="Rules of a step, or hosts, at most: those that lost most.", min=1)] = 20,
) -> None:
    """Print what the shards hold and the funnel that led to them.

    Example: `weft stats OUT --funnel --by host`
    """
    from jobs.trouble import reading

    with reading(directory):
        if funnel or by:
            from jobs.funnel import show

            show(directory, by or "rule", limit, as_json)
        else:
            from jobs import stats as statistics

            statistics.show(directory, as_json)


@app.command()
def why(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Output of a run; a path or an address.")],
    name: Annotated[
        str,
        typer.Argument(metavar="ID|URL", help="Id of a page, an image or a sample; or an address, as it was captured."),
    ],
    as_json: AsJson = False,
) -> None:
    """Tell what became of one page or image: from its capture to the shard that holds it, or to its end.

    Example: `weft why OUT https://host.example/page.html`
    """
    from jobs.trouble import reading
    from jobs.why import show

    with reading(directory):
        show(directory, name, as_json)
