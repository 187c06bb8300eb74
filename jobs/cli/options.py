"""The application, and the options that several commands have alike."""

from importlib.metadata import version
from typing import Annotated

import typer

app = typer.Typer(
    name="weft",
    help="Web archives in, trainer-ready multimodal shards out, and a decoder that learns to see from them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},  # of every command
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"weft {version('weft')}")
        raise typer.Exit


@app.callback()
def _weft(
    is_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def renamed(old: str, new: str, value: str | None) -> str | None:
    """Return what was given by an option's former name; it works for one more release, and a line says so."""
    if value is not None:
        typer.echo(f"weft: {old} is now {new}; the next release knows {new} alone", err=True)
    return value


To = Annotated[str | None, typer.Option("--to", hidden=True)]
"""The former name of --output, where it was another."""

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="WARC, ARC or WACZ files, globs ('crawl/**/*.warc.gz'), or Common Crawl `warc.paths.gz` listings; "
        "local or any fsspec address (https://, s3://).",
    ),
]
Output = Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Where the run's tables and shards lie.")]
RecipeName = Annotated[
    str,
    typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A shipped recipe (`weft recipe list`) or a YAML file."),
]
SameRecipe = Annotated[
    str | None,
    typer.Option("--recipe", "-r", metavar="NAME|FILE", help="Default: the recipe that extract was run with."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override one key, e.g. filters.language.min_score=0.7; repeatable."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Remove what is there and make it anew.")]
Master = Annotated[
    str | None,
    typer.Option("--master", metavar="URL", help="Spark master; default: what spark-submit says, else local[*]."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the same as JSON.")]
