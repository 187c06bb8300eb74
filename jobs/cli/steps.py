"""The commands that make a corpus: all steps in one, and each by itself."""

from typing import Annotated

import typer

from jobs.cli.options import Assignments, Inputs, Master, Output, Overwrite, RecipeName, SameRecipe, app
from schemas.recipe import Recipe
from schemas.signals import resuming


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
    from jobs.funnel import show_funnel
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
        from jobs.page import show

        show(inputs, url)
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
    from jobs.recipes import load
    from pipeline.store import Store
    from schemas.errors import PathError
    from schemas.overrides import override, validate

    if name is not None:
        return load(name, assignments)
    extracted = Store(output).manifest("pages")
    if extracted is None:
        raise PathError(f"{output} holds no finished `weft extract`; run that first")
    return validate(Recipe, override(extracted.recipe, assignments or []), f"the recipe of {output}")
