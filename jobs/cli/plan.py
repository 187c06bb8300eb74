"""The commands that tell what a run will cost, and that send it to a cluster."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal

import typer
from rich.filesize import decimal
from rich.text import Text

from jobs import recipes
from jobs.cli.options import AsJson, Assignments, Inputs, Output, Overwrite, RecipeName, app
from jobs.printing import console, say, table
from jobs.submit import shipped_rates
from pipeline.inspect.pilot import Pilot
from pipeline.inspect.plan import ALL, Figure, Plan, count_archives, estimate, unmeasured
from schemas.display import redacted, to_json
from schemas.recipe import Recipe

_TITLES = {
    "input": "Input",
    "things": "What each step makes",
    "core-hours": "Core-hours",
    "GPU-hours": "GPU-hours",
    "download": "Downloads",
    "disk": "Bytes written",
    "hours": "Hours on {cores:,} cores",
}


def show_plan(
    inputs: Sequence[str],
    recipe: str | None,
    assignments: Sequence[str],
    cores: int,
    gpus: int,
    pilot: Pilot | None,
    as_json: bool,
) -> None:
    """Print a plan, as tables or as one JSON object; a pilot's rates take the place of the shipped ones.

    Without a recipe it is the pilot's, or kosmos1.
    Raises: PathError for a missing input; RecipeError for an unknown recipe, key or value.
    """
    chosen = _recipe(recipe, assignments, pilot)
    known = {**shipped_rates(), **(pilot.rates() if pilot else {})}
    found = estimate(count_archives(inputs), known, chosen, cores, gpus)
    notes = _notes(found, chosen, gpus, pilot)
    if as_json:
        sections = {name: {n: asdict(f) for n, f in figures.items()} for name, figures in found.items()}
        print(to_json({"recipe": chosen.name, "cores": cores, "gpus": gpus, **sections, "notes": notes}, 1))
        return
    _print(found, cores)
    for note in notes:
        say(f"  {note}")


def _print(found: Plan, cores: int) -> None:
    """Print a table for each section, and last the sources, to whose numbers the tables refer."""
    numbers: dict[str, int] = {}
    for section, figures in found.items():
        shown = table(_TITLES[section].format(cores=cores), "", numbers=(" ",), fold=True)
        shown.add_column("known", no_wrap=True)
        shown.add_column("by", overflow="fold")
        for name, figure in figures.items():
            by = ", ".join(str(numbers.setdefault(source, len(numbers) + 1)) for source in figure.sources)
            is_bound = name == ALL and figure.value is not None and bool(unmeasured(figures))
            shown.add_row(Text(name), "at least " * is_bound + _number(figure), figure.known, Text(by, "dim"))
        console.print(shown)
    for source, number in numbers.items():
        say(f"  {number:>2}  {source}")


def _recipe(name: str | None, assignments: Sequence[str], pilot: Pilot | None) -> Recipe:
    if name is None and pilot is not None:
        return recipes.build(pilot.recipe, assignments, f"the recipe of {pilot.directory}")
    return recipes.load(name or "kosmos1", list(assignments))


def _notes(found: Plan, recipe: Recipe, gpus: int, pilot: Pilot | None) -> list[str]:
    notes = []
    for section in ("core-hours", "disk", "hours"):
        left_out = unmeasured(found[section])
        if left_out:
            name = _TITLES[section].partition(" on ")[0].lower()
            notes.append(f"{name}, not measured and in no sum: {', '.join(left_out)}; a pilot measures (--from OUT)")
    limits = [name for name in unmeasured(found.get("download", {})) if name.startswith("hours")]
    if limits:
        notes.append(f"fetch may take longer: {', '.join(limits)} is not measured; a pilot measures it (--from OUT)")
    if gpus and "GPU-hours" in found and found["GPU-hours"]["score"].value is None:
        notes.append(
            "score on GPUs: not measured, so reckoned on cores; a pilot on GPUs measures it (--from, --pilot-gpus)"
        )
    if pilot is None:
        notes.append(f"what a recipe takes differs from web to web: the yields are not those of {recipe.name}")
    else:
        notes.append(f"seconds of the pilot count for {pilot.num_cores:,} cores (--pilot-cores)")
        if redacted(pilot.recipe) != redacted(recipe.model_dump(mode="json")):
            notes.append("the pilot ran by another recipe, and its yields stand")
        notes.append("duplicates grow with the input: fewer pages and images stay than the pilot's share says")
    return notes


def _number(figure: Figure) -> str:
    if figure.value is None:
        return "?"
    if figure.unit == "bytes":
        return decimal(round(figure.value))
    value = figure.value if figure.known == "counted" else float(f"{figure.value:.3g}")
    return f"{value:,.3g} {figure.unit}" if value < 100 else f"{value:,.0f} {figure.unit}"


@app.command()
def plan(
    inputs: Inputs,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="Default: the pilot's, else kosmos1.")
    ] = None,
    assignments: Assignments = None,
    cores: Annotated[int | None, typer.Option(metavar="N", min=1, help="Default: this machine's.")] = None,
    gpus: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs for score.")] = 0,
    pilot: Annotated[
        str | None, typer.Option("--from", metavar="OUT", help="Reckon from a run on a part of the inputs.")
    ] = None,
    pilot_cores: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Cores that it ran on; default: this machine's.")
    ] = None,
    pilot_gpus: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs that its score ran on.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Tell what a run will cost before it is run: pages, core-hours, downloads, bytes, hours.

    Each figure says whether it is measured, from a pilot, published or assumed. A pilot on a few archives says most.
    Needs neither Java nor Spark, and reads no archive.

    Example: `weft plan warc.paths.gz --from PILOT --cores 1000`
    """
    import os

    from pipeline.inspect.pilot import Pilot

    here = os.cpu_count() or 1
    found = Pilot(pilot, pilot_cores or here, pilot_gpus) if pilot is not None else None
    show_plan(inputs, recipe, assignments or (), cores or here, gpus, found, as_json)


@app.command()
def submit(
    inputs: Inputs,
    output: Output,
    master: Annotated[
        str, typer.Option("--master", metavar="URL", help="spark://HOST:7077, yarn or k8s://https://...")
    ],
    environment: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="Packed environment (`make package`); default: every node has this one at the same path.",
        ),
    ] = None,
    deploy_mode: Annotated[
        Literal["client", "cluster"] | None,
        typer.Option(help="Where the driver runs; default: cluster on Kubernetes, else client."),
    ] = None,
    conf: Annotated[
        list[str] | None, typer.Option("--conf", metavar="KEY=VALUE", help="A setting of Spark; repeatable, and wins.")
    ] = None,
    executors: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: what the archives keep busy, 10 at most.")
    ] = None,
    executor_cores: Annotated[int, typer.Option(metavar="N", min=1, help="Cores of an executor.")] = 4,
    gpus_per_executor: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs of an executor.")] = 0,
    gpu_discovery: Annotated[
        str | None, typer.Option(metavar="PATH", help="Script on every node that prints its GPUs; see docs/cluster.md.")
    ] = None,
    recipe: RecipeName = "kosmos1",
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the line for a shell, and start nothing.")] = False,
) -> None:
    """Send `weft run` to a cluster by spark-submit, with sane settings; its exit status is passed on.

    What can be wrong with the arguments is said before Spark starts. See docs/cluster.md.

    Example: `weft submit --master yarn --environment dist/environment.tar.gz --output s3://BUCKET/OUT warc.paths.gz`
    """
    from jobs.submit import SubmitRequest, send

    request = SubmitRequest(
        tuple(inputs), output, master, environment, deploy_mode, tuple(conf or ()), executors, executor_cores,
        gpus_per_executor, gpu_discovery, recipe, tuple(assignments or ()), overwrite,
    )  # fmt: skip
    raise typer.Exit(send(request, dry_run))
