"""The application, and the options that several commands have alike."""

from typing import Annotated

import typer

app = typer.Typer(
    name="weft",
    help="Web archives in, trainer-ready multimodal shards out, and a decoder that learns to see from them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)

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
Data = Annotated[
    str,
    typer.Option("--data", "-d", metavar="DIR", help="Output of a run, or its shards folder; a path or an address."),
]
