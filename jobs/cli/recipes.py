"""The commands about recipes."""

import json
from typing import Annotated

import typer

from jobs.cli.options import Assignments, app

recipes = typer.Typer(help="List and show recipes.", no_args_is_help=True)
app.add_typer(recipes, name="recipe")


@recipes.command("list")
def list_recipes() -> None:
    """List the recipes that ship with Weft.

    Example: `weft recipe list`
    """
    from jobs.recipes import load, names

    for name in names():
        typer.echo(f"{name:<12} {load(name).about}")


@recipes.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    assignments: Assignments = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Print a recipe, resolved: every key with its value.

    Example: `weft recipe show kosmos1 --set filters.language.min_score=0.7`
    """
    import yaml

    from jobs.recipes import load
    from schemas.secrets import redacted

    values = redacted(load(name, assignments).model_dump(mode="json"))
    typer.echo(json.dumps(values, indent=1) if as_json else yaml.safe_dump(values, sort_keys=False), nl=as_json)
