"""The application, and options that several commands share."""

from importlib.metadata import version
from typing import Annotated

import typer

from schemas.tables import StepName

app = typer.Typer(
    name="weft",
    help="Turn web archives into training data for multimodal models, and train one on it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)


def _print_version(requested: bool) -> None:
    if requested:
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
    """Return the value given with an option's old name, and print a deprecation notice if there is one."""
    if value is not None:
        typer.echo(f"weft: {old} is deprecated, use {new}; the next release removes {old}", err=True)
    return value


To = Annotated[str | None, typer.Option("--to", hidden=True)]
"""The old name of --output in `report` and `card`."""

_INPUT = typer.Argument(
    metavar="INPUT...",
    help="WARC, ARC or WACZ files, globs ('crawl/**/*.warc.gz'), or Common Crawl `warc.paths.gz` listings; "
    "local paths or any fsspec address (https://, s3://).",
)
Inputs = Annotated[list[str], _INPUT]
RunInputs = Annotated[list[str] | None, _INPUT]
FromStep = Annotated[
    StepName | None, typer.Option("--from", help="First step; those before must be complete. Default: extract.")
]
UntilStep = Annotated[StepName | None, typer.Option("--until", help="Last step. Default: shard.")]
Output = Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Folder of the run's tables and shards.")]
RecipeName = Annotated[
    str,
    typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A shipped recipe (`weft recipe list`) or a YAML file."),
]
RunRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        metavar="NAME|FILE",
        help="A shipped recipe (`weft recipe list`) or a YAML file; default: kosmos1, with --from that of extract.",
    ),
]
SameRecipe = Annotated[
    str | None,
    typer.Option("--recipe", "-r", metavar="NAME|FILE", help="Default: the recipe of the extract step."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override one recipe key, e.g. filters.language.min_score=0.7; repeatable."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Delete the existing output of the command's steps and remake it.")
]
Master = Annotated[
    str | None,
    typer.Option(
        "--master", metavar="URL", help="Spark master, e.g. local[4]; default: spark-submit's, else local[*]."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
