"""The command line. Each command imports what it needs: training asks for no Spark, statistics for no Java."""

import json
import sys
from typing import Annotated, Literal

import typer

from schemas.errors import WeftError
from schemas.recipe import Recipe

app = typer.Typer(
    name="weft",
    help="Web archives in, trainer-ready multimodal shards out, and a decoder that learns to see from them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
recipes = typer.Typer(help="List and show recipes.", no_args_is_help=True)
app.add_typer(recipes, name="recipe")

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

    run((STEP,), load(recipe, assignments), output, inputs, overwrite, master)


def _step_command(name: str, doc: str) -> None:
    def command(
        output: Output,
        recipe: SameRecipe = None,
        assignments: Assignments = None,
        overwrite: Overwrite = False,
        master: Master = None,
    ) -> None:
        from jobs.run import STEPS, run

        step = next(s for s in STEPS if s.name == name)
        run((step,), _recipe_of(output, recipe, assignments), output, (), overwrite, master)

    command.__doc__ = doc
    app.command(name)(command)


_step_command("filter", "Judge pages and captions by language and rules; every measure is kept.")


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
    """
    from jobs.fetch import STEP, parse_classes
    from jobs.run import run

    classes = parse_classes(retry) if retry is not None else ()
    run((STEP,), _recipe_of(output, recipe, assignments), output, (), overwrite, master, classes)


_step_command("dedup", "Drop equal captures, addresses, texts and images; one of each stays.")
_step_command("score", "Score images against their texts by CLIP.")
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
    from jobs.why import show

    show(directory, name, as_json)


Data = Annotated[
    str,
    typer.Option("--data", "-d", metavar="DIR", help="Output of a run, or its shards folder; a path or an address."),
]


@app.command()
def tokenizer(
    data: Data,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Default: DATA/tokenizer.")
    ] = None,
    vocab_size: Annotated[int, typer.Option(help="Pieces at most; a small corpus yields fewer.", min=300)] = 64_007,
    overwrite: Overwrite = False,
) -> None:
    """Train a SentencePiece tokenizer on the text of the shards."""
    from trainer.data.shards import beside
    from trainer.pieces import learn

    folder = output or beside(data, "tokenizer")
    made = learn(data, folder, vocab_size, overwrite=overwrite)
    typer.echo(f"{made.vocab_size:,} pieces in {folder}")


@app.command()
def train(
    data: Data,
    config: Annotated[
        str, typer.Option("--config", metavar="NAME|FILE", help="debug, kosmos1_1b6 or a YAML file.")
    ] = "debug",
    tokenizer: Annotated[str | None, typer.Option(metavar="DIR", help="Default: DATA/tokenizer.")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Default: DATA/checkpoints.")
    ] = None,
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    processes: Annotated[int, typer.Option(help="Processes on this machine, one for each GPU.", min=1)] = 1,
) -> None:
    """Train a decoder that sees on the shards. A run that was stopped goes on from its newest checkpoint.

    On several machines start `trainer.train` by torchrun yourself: `python -m trainer.train --help`.
    """
    from trainer import config as configuration
    from trainer.data.shards import beside
    from trainer.train import TERMINATED, report, run

    settings = configuration.load(config, assignments or [])
    words, folder = tokenizer or beside(data, "tokenizer"), output or beside(data, "checkpoints")
    if processes == 1:
        summary = run(settings, data, words, folder, overwrite)
        report(summary)
        raise typer.Exit(TERMINATED if summary.terminated else 0)
    from torch.distributed.run import main as torchrun

    more = [part for assignment in assignments or [] for part in ("--set", assignment)] + ["--overwrite"] * overwrite
    where = ["--config", config, "--data", data, "--tokenizer", words, "--output", folder]
    torchrun(["--standalone", f"--nproc-per-node={processes}", "-m", "trainer.train", *where, *more])


@app.command()
def generate(
    checkpoint: Annotated[
        str,
        typer.Option("--checkpoint", "-c", metavar="DIR", help="Exported weights, a checkpoint, or a run's folder."),
    ],
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="Words; `<image>` says where an image stands.")
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="An image; repeatable, in order. Without `<image>` they stand before the words."
        ),
    ] = None,
    input_file: Annotated[
        str | None,
        typer.Option("--input", metavar="FILE", help='JSON lines of {"prompt": TEXT, "images": [PATH, ...]}, instead.'),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="DIR", help="Default: the one beside the checkpoint.")
    ] = None,
    beam: Annotated[int, typer.Option(help="Beams; 1 takes the likeliest token each time.", min=1)] = 1,
    length_penalty: Annotated[
        float, typer.Option(help="Beams rank by log-probability / length ** this; more prefers longer ones.", min=0)
    ] = 1.0,
    max_tokens: Annotated[int, typer.Option(help="Tokens at most; it ends earlier at `</s>`.", min=1)] = 64,
) -> None:
    """Go on with a prompt of words and images, by a trained decoder. Only the continuation is printed.

    Example: `weft generate --checkpoint OUT "An image of" --image x.jpg --beam 5`
    """
    from pathlib import Path

    from trainer.generate.run import Request, show
    from trainer.generate.saved import load

    if (prompt is None) == (input_file is None):
        raise typer.BadParameter("give a PROMPT, or --input FILE")
    request = None if prompt is None else Request(prompt, tuple(Path(name) for name in image or []))
    file = None if input_file is None else Path(input_file)
    show(load(checkpoint, tokenizer), request, file, beam, length_penalty, max_tokens)


@app.command()
def replay(
    warcs: Annotated[list[str], typer.Argument(metavar="WARC...", help="Archives to answer from.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 0,
) -> None:
    """Serve archived responses as a forward HTTP proxy on loopback, until interrupted.

    Point a run at it with `--set fetch.proxy=http://127.0.0.1:PORT`: images then come from the archive itself.
    """
    from pipeline.inputs import expand
    from pipeline.replay import serve

    serve(port, expand(warcs))


@recipes.command("list")
def list_recipes() -> None:
    """List the recipes that ship with Weft."""
    from jobs.recipes import load, names

    for name in names():
        typer.echo(f"{name:<12} {load(name).about}")


@recipes.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    assignments: Assignments = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Print a recipe, resolved: every key with its value."""
    import yaml

    from jobs.recipes import load

    values = load(name, assignments).model_dump(mode="json")
    typer.echo(json.dumps(values, indent=1) if as_json else yaml.safe_dump(values, sort_keys=False), nl=as_json)


def main() -> None:
    """Run the command line; an error meant for people is one line, and exit status 2."""
    try:
        app()
    except WeftError as error:
        sys.exit(_say(str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_say("interrupted; the same command goes on from here", 130))
    except Exception as error:
        if not type(error).__module__.startswith(("py4j", "pyspark")):
            raise
        sys.exit(_say(f"Spark failed: {_cause(str(error))}", 1))


def _say(message: str, status: int) -> int:
    typer.echo(f"weft: {' '.join(message.split())}", err=True)
    return status


def _cause(trace: str) -> str:
    """Return the line of a Spark trace that says what happened: the last error in it, else the first line."""
    lines = [line.strip().removeprefix("Caused by").lstrip(": ") for line in trace.splitlines() if line.strip()]
    errors = [line for line in lines if line.split(":")[0].rsplit(".", 1)[-1].endswith(("Error", "Exception"))]
    return errors[-1] if errors else lines[0] if lines else "no reason given"


if __name__ == "__main__":
    main()
