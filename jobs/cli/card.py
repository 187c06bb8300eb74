"""The command that describes what a run made."""

from typing import Annotated

import typer

from jobs.cli.options import To, app, renamed


@app.command()
def card(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Output of a finished run; a path or an address.")],
    name: Annotated[str | None, typer.Option(help="What the dataset is called; default: the recipe's name.")] = None,
    licence: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="Its licence, as cc-by-4.0; default: other, since none is known."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Where the two files go; default: beside the shards they describe."
        ),
    ] = None,
    to: To = None,
) -> None:
    """Write a dataset card (README.md) and Croissant metadata (croissant.json) beside the shards.

    Example: `weft card OUT --name "My corpus"`
    """
    import re

    from jobs.card import show
    from jobs.trouble import reading

    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,60}", licence):
        raise typer.BadParameter("a licence is named by its id on the hub, as cc-by-4.0 or odc-by")
    with reading(directory):
        show(directory, name, licence, output or renamed("--to", "--output", to))
