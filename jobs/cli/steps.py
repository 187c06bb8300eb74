"""The commands `weft run`, one per step, and `weft recipe`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from jobs.cli.options import (
    Assignments,
    FromStep,
    Inputs,
    Master,
    Output,
    Overwrite,
    RecipeName,
    RunInputs,
    RunRecipe,
    SameRecipe,
    UntilStep,
    app,
)
from schemas.display import printable
from schemas.errors import PathError
from schemas.program import resuming
from schemas.recipe import Recipe

if TYPE_CHECKING:
    from pipeline.html.blocks import BlockPlace, PageBlock, Spot
    from pipeline.html.images import Image

SHOWN_CHARACTERS = 200  # of a block


def show_page(inputs: list[str], url: str) -> None:
    """Print a line for each block and image of an HTML file: + (kept) or -, probability, tag, text.

    Raises: PathError unless inputs are one HTML file.
    """
    from pipeline.html.blocks import Spot, in_order
    from pipeline.html.images import mark_images
    from pipeline.html.page import classify
    from pipeline.html.tree import NotParseable, parse

    if len(inputs) != 1:
        raise PathError(f"--url shows one page, but {len(inputs)} files are given")
    try:
        tree = parse(Path(inputs[0]).read_bytes(), None)
    except OSError as error:
        raise PathError(f"{inputs[0]}: {error.strerror}") from error
    except NotParseable as error:
        raise PathError(f"{inputs[0]} is not HTML: {error}") from error
    images = mark_images(tree, url)
    judged = classify(tree, images)
    chosen_images = {spot.image for spot in judged.chosen_spots}
    decisions = zip(judged.p_N.tolist(), judged.chosen_N.tolist(), strict=True)  # of the blocks, in order
    console = Console(highlight=False)
    for part in in_order(judged.blocks, range(len(judged.blocks)), judged.spots):
        if isinstance(part, Spot):
            line = _image_line(part, images[part.image], part.image in chosen_images)
        else:
            line = _block_line(part, *next(decisions))
        console.print(line, soft_wrap=True)
    kept = int(judged.chosen_N.sum())
    console.print(
        f"{kept} of {len(judged.blocks)} blocks and {len(chosen_images)} of {len(images)} images kept", style="bold"
    )


def _block_line(block: "PageBlock", p: float, chosen: bool) -> Text:
    text = " ".join(block.text.split())
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} ... ({len(text)} characters)"
    return _line(chosen, f"{p:.2f}", block.place, shown)


def _image_line(spot: "Spot", image: "Image", chosen: bool) -> Text:
    size = f" {image.width or '?'}x{image.height or '?'}" if image.width or image.height else ""
    texts = "".join(f" {name}={text!r}" for name in ("alt", "caption") if (text := getattr(image, name)))
    return _line(chosen, " img", spot.place, f"{image.url}{size}{texts}")


def _line(chosen: bool, score: str, place: "BlockPlace", text: str) -> Text:
    return Text(printable(f"{'+' if chosen else '-'} {score} {place.tag:<10} {text}"), style="" if chosen else "dim")


recipes = typer.Typer(help="List and show recipes.", no_args_is_help=True)
app.add_typer(recipes, name="recipe")


@recipes.command("list")
def list_recipes() -> None:
    """List the shipped recipes.

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
    """Print every key of a recipe with its value, defaults and overrides included.

    Example: `weft recipe show kosmos1 --set filters.language.min_score=0.7`
    """
    import yaml

    from jobs.recipes import load
    from schemas.display import redacted

    values = redacted(load(name, assignments).model_dump(mode="json"))
    typer.echo(json.dumps(values, indent=1) if as_json else yaml.safe_dump(values, sort_keys=False), nl=as_json)


@app.command("run")
def run_all(
    output: Output,
    inputs: RunInputs = None,
    recipe: RunRecipe = None,
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    master: Master = None,
    first: FromStep = None,
    last: UntilStep = None,
) -> None:
    """Run all steps, from archives to shards.

    The same command continues a stopped run; finished steps are not repeated. Needs Java 17 or newer, and
    `--set fetch.contact=...` when images are downloaded from the web.

    --from and --until run a part of the steps, e.g. all but score on CPUs, then score on a machine with GPUs.

    Example: `weft run --recipe kosmos1 --output OUT crawl/*.warc.gz`

    Example: `weft run --output OUT --from score --until score`
    """
    from jobs.cli.inspect import show_funnel
    from jobs.recipes import load
    from jobs.run import run, select_steps

    steps = select_steps(first, last)
    if steps[0].name == "extract" and not inputs:
        raise typer.BadParameter("give the archives to extract as INPUT...")
    if steps[0].name != "extract" and inputs:
        raise typer.BadParameter(f"--from {first} reads no archives: leave out INPUT")
    chosen = load(recipe or "kosmos1", assignments) if inputs else _recipe_of(output, recipe, assignments)
    with resuming(overwrite):
        run(steps, chosen, output, inputs or (), overwrite, master)
    show_funnel(output)


@app.command()
def extract(
    inputs: Inputs,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the run's tables.")
    ] = None,
    recipe: RecipeName = "kosmos1",
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    master: Master = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Show the extraction of one HTML file (INPUT), as if from URL.")
    ] = None,
) -> None:
    """Extract pages (text and images in reading order) and captions from archives.

    Reads only archives that are new or unfinished. Needs Java 17 or newer.

    To see what is kept of one page, without an archive: `weft extract page.html --url https://host/page.html`

    Example: `weft extract --recipe kosmos1 --output OUT crawl/*.warc.gz`
    """
    if url is not None:
        show_page(inputs, url)
        return
    if output is None:
        raise typer.BadParameter("give --output DIR, or, to show one HTML file, --url URL")
    from jobs.extract import STEP
    from jobs.recipes import load
    from jobs.run import run

    with resuming(overwrite):
        run((STEP,), load(recipe, assignments), output, inputs, overwrite, master)


def _step_command(name: str, doc: str, needs: str, options: str = "") -> None:
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

    command.__doc__ = f"{doc}\n\nNeeds {needs}.\n\nExample: `{f'weft {name} --output OUT {options}'.strip()}`"
    app.command(name)(command)


_step_command(
    "filter",
    "Apply the recipe's filters to pages, paragraphs, captions and image addresses; store every measure.",
    "a finished `weft extract`. With a changed recipe it reuses the stored measures, and prints what changed",
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
        typer.Option(metavar="CLASS,...", help="Request failed images of these classes again: timeout,http_5xx,dns."),
    ] = None,
) -> None:
    """Download each image that the corpora use once, as its site permits, and decode it.

    Needs a finished `weft filter`, and `--set fetch.contact=...` for downloads from the web. Requests nothing twice,
    except failures of the classes in --retry; `weft stats` lists the classes.

    Example: `weft fetch --output OUT --retry timeout,http_5xx`
    """
    from jobs.fetch import STEP, parse_classes
    from jobs.run import run

    classes = parse_classes(retry) if retry is not None else ()
    with resuming(overwrite):
        run((STEP,), _recipe_of(output, recipe, assignments), output, (), overwrite, master, classes)


_step_command(
    "dedup",
    "Drop duplicate and near-duplicate pages, texts and images, and what evaluation sets contain; keep one of each.",
    "a finished `weft fetch`",
)
_step_command(
    "score",
    "Compute the CLIP similarity of images with their captions and page texts.",
    "a finished `weft dedup` and the CLIP weights of `clip.pretrained`; uses GPUs where executors have them",
    "--master 'local[2]'",
)
_step_command("assemble", "Make the documents of the interleaved, caption and text corpora.", "a finished `weft score`")
_step_command(
    "shard", "Write the documents as WebDataset tars with indexes and checksums.", "a finished `weft assemble`"
)


def _recipe_of(output: str, name: str | None, assignments: list[str] | None) -> Recipe:
    """Load the named recipe, by default the one of the extract step."""
    from jobs.recipes import build, load
    from pipeline.io.store import Store
    from schemas.errors import PathError

    if name is not None:
        return load(name, assignments)
    extracted = Store(output).manifest("pages")
    if extracted is None:
        raise PathError(f"{output} has no finished extract step; run `weft extract` first")
    return build(extracted.recipe, assignments or [], f"the recipe of {output}")
