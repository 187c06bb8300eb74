"""The commands that make a corpus: all steps in one, each by itself, and the recipes."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from jobs.cli.options import Assignments, Inputs, Master, Output, Overwrite, RecipeName, SameRecipe, app
from pipeline.html.blocks import BlockPlace, PageBlock, Spot, in_order
from pipeline.html.images import Image, mark_images
from pipeline.html.page import judge
from pipeline.html.tree import NotParseable, parse
from schemas.display import printable
from schemas.errors import PathError
from schemas.program import resuming
from schemas.recipe import Recipe

SHOWN_CHARACTERS = 200  # of a block


def show_page(inputs: list[str], url: str) -> None:
    """Print a line for each block and image of an HTML file: + or -, its probability, where it stands, what it says.

    Raises: PathError unless there is one file, and HTML in it.
    """
    if len(inputs) != 1:
        raise PathError(f"--url shows one page, and {len(inputs)} files are named")
    try:
        tree = parse(Path(inputs[0]).read_bytes(), None)
    except OSError as error:
        raise PathError(f"{inputs[0]}: {error.strerror}") from error
    except NotParseable as error:
        raise PathError(f"{inputs[0]} is no HTML: {error}") from error
    images = mark_images(tree, url)
    judged = judge(tree, images)
    chosen_images = {spot.image for spot in judged.chosen_spots}
    verdicts = zip(judged.p_N.tolist(), judged.chosen_N.tolist(), strict=True)  # of the blocks, in their order
    console = Console(highlight=False)
    for part in in_order(judged.blocks, range(len(judged.blocks)), judged.spots):
        if isinstance(part, Spot):
            line = _image_line(part, images[part.image], part.image in chosen_images)
        else:
            line = _block_line(part, *next(verdicts))
        console.print(line, soft_wrap=True)
    kept = int(judged.chosen_N.sum())
    console.print(
        f"{kept} of {len(judged.blocks)} blocks and {len(chosen_images)} of {len(images)} images stay", style="bold"
    )


def _block_line(block: PageBlock, p: float, chosen: bool) -> Text:
    text = " ".join(block.text.split())
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} ... ({len(text)} characters)"
    return _line(chosen, f"{p:.2f}", block.place, shown)


def _image_line(spot: Spot, image: Image, chosen: bool) -> Text:
    size = f" {image.width or '?'}x{image.height or '?'}" if image.width or image.height else ""
    words = "".join(f" {name}={said!r}" for name in ("alt", "caption") if (said := getattr(image, name)))
    return _line(chosen, " img", spot.place, f"{image.url}{size}{words}")


def _line(chosen: bool, what: str, place: BlockPlace, said: str) -> Text:
    return Text(printable(f"{'+' if chosen else '-'} {what} {place.tag:<10} {said}"), style="" if chosen else "dim")


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
    from schemas.display import redacted

    values = redacted(load(name, assignments).model_dump(mode="json"))
    typer.echo(json.dumps(values, indent=1) if as_json else yaml.safe_dump(values, sort_keys=False), nl=as_json)


@app.command("run")
def run_all(
    inputs: Inputs,
    output: Output,
    recipe: RecipeName = "kosmos1",
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    master: Master = None,
) -> None:
    """Run the whole way: archives in, shards out.

    A run that was stopped goes on where it stood; a finished one is not done again.

    Example: `weft run --recipe kosmos1 --output OUT crawl/*.warc.gz`
    """
    from jobs.cli.inspect import show_funnel
    from jobs.recipes import load
    from jobs.run import STEPS, run

    with resuming(overwrite):
        run(STEPS, load(recipe, assignments), output, inputs, overwrite, master)
    show_funnel(output)


@app.command()
def extract(
    inputs: Inputs,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Where the run's tables lie.")
    ] = None,
    recipe: RecipeName = "kosmos1",
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    master: Master = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Show one page: INPUT is an HTML file that stood at URL.")
    ] = None,
) -> None:
    """Archives to pages of text and images in reading order, and to captions.

    Only archives that are new or unfinished are read.

    To see how one page is judged, without an archive: `weft extract page.html --url https://host/page.html`

    Example: `weft extract --recipe kosmos1 --output OUT crawl/*.warc.gz`
    """
    if url is not None:
        show_page(inputs, url)
        return
    if output is None:
        raise typer.BadParameter("say where the pages go, as --output DIR; or, for one HTML file, its --url")
    from jobs.extract import STEP
    from jobs.recipes import load
    from jobs.run import run

    with resuming(overwrite):
        run((STEP,), load(recipe, assignments), output, inputs, overwrite, master)


def _step_command(name: str, doc: str, options: str = "") -> None:
    def command(
        output: Output,
        recipe: SameRecipe = None,
        assignments: Assignments = None,
        overwrite: Overwrite = False,
        master: Master = None,
    ) -> None:
        from jobs.run import STEPS, run

        step = next(s for s in STEPS if s.name == name)
        with resuming(overwrite):
            run((step,), _recipe_of(output, recipe, assignments), output, (), overwrite, master)

    command.__doc__ = f"{doc}\n\n    Example: `{' '.join(f'weft {name} --output OUT {options}'.split())}`"
    app.command(name)(command)


_step_command(
    "filter",
    "Judge pages and captions by language and rules; every measure is kept.",
    "--set filters.text.min_words=20",
)


@app.command()
def fetch(
    output: Output,
    recipe: SameRecipe = None,
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    master: Master = None,
    retry: Annotated[
        str | None,
        typer.Option(metavar="CLASS,...", help="Ask again for what failed so before, e.g. timeout,http_5xx,dns."),
    ] = None,
) -> None:
    """Download every wanted image once with img2dataset, as its site allows, and decode it.

    What was answered is not asked again; --retry names the failures that are, and `weft stats` shows which there are.

    Example: `weft fetch --output OUT --retry timeout,http_5xx`
    """
    from jobs.fetch import STEP, parse_classes
    from jobs.run import run

    classes = parse_classes(retry) if retry is not None else ()
    with resuming(overwrite):
        run((STEP,), _recipe_of(output, recipe, assignments), output, (), overwrite, master, classes)


_step_command("dedup", "Drop equal captures, addresses, texts and images; one of each stays.")
_step_command("score", "Score images against their texts by CLIP.", "--master 'local[2]'")
_step_command("assemble", "Make the documents of the interleaved, caption and text corpora.")
_step_command("shard", "Write the documents as WebDataset tars with indexes and checksums.")


def _recipe_of(output: str, name: str | None, assignments: list[str] | None) -> Recipe:
    """Load the named recipe, or the one that the run was extracted with."""
    from jobs.recipes import build, load
    from pipeline.io.store import Store
    from schemas.errors import PathError
    from schemas.renames import current_recipe

    if name is not None:
        return load(name, assignments)
    extracted = Store(output).manifest("pages")
    if extracted is None:
        raise PathError(f"{output} holds no finished `weft extract`; run that first")
    return build(current_recipe(extracted.recipe)[0], assignments or [], f"the recipe of {output}")
