"""The commands `weft plan` and `weft submit`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal

import typer
from rich.filesize import decimal
from rich.text import Text

from jobs import recipes
from jobs.cli.options import AsJson, Assignments, FromStep, Inputs, Output, Overwrite, RecipeName, UntilStep, app
from jobs.printing import console, print_line, table
from jobs.submit import shipped_rates
from pipeline.inspect.pilot import Pilot
from pipeline.inspect.plan import ALL, Estimate, Plan, count_archives, estimate, unmeasured
from schemas.display import redacted, to_json
from schemas.recipe import Recipe

_TITLES = {
    "input": "Input",
    "things": "Output of each step",
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
    """Print a plan, as tables or as one JSON object; rates of a pilot run replace the shipped ones.

    The default recipe is the pilot's, else kosmos1.
    Raises: PathError for a missing input; RecipeError for an unknown recipe, key or value.
    """
    chosen = _recipe(recipe, assignments, pilot)
    rates = {**shipped_rates(), **(pilot.rates() if pilot else {})}
    made = estimate(count_archives(inputs), rates, chosen, cores, gpus)
    notes = _notes(made, chosen, gpus, pilot)
    if as_json:
        sections = {name: {n: asdict(f) for n, f in figures.items()} for name, figures in made.items()}
        print(to_json({"recipe": chosen.name, "cores": cores, "gpus": gpus, **sections, "notes": notes}, 1))
        return
    _print(made, cores)
    for note in notes:
        print_line(f"  {note}")


def _print(made: Plan, cores: int) -> None:
    """Print a table for each section, then the numbered sources that the tables refer to."""
    numbers: dict[str, int] = {}
    for section, figures in made.items():
        shown = table(_TITLES[section].format(cores=cores), "", numbers=(" ",), fold=True)
        shown.add_column("basis", no_wrap=True)
        shown.add_column("source", overflow="fold")
        for name, figure in figures.items():
            by = ", ".join(str(numbers.setdefault(source, len(numbers) + 1)) for source in figure.sources)
            is_bound = name == ALL and figure.value is not None and bool(unmeasured(figures))
            shown.add_row(Text(name), "at least " * is_bound + _number(figure), figure.known, Text(by, "dim"))
        console.print(shown)
    for source, number in numbers.items():
        print_line(f"  {number:>2}  {source}")


def _recipe(name: str | None, assignments: Sequence[str], pilot: Pilot | None) -> Recipe:
    if name is None and pilot is not None:
        return recipes.build(pilot.recipe, assignments, f"the recipe of {pilot.directory}")
    return recipes.load(name or "kosmos1", list(assignments))


def _notes(made: Plan, recipe: Recipe, gpus: int, pilot: Pilot | None) -> list[str]:
    notes = []
    for section in ("core-hours", "disk", "hours"):
        left_out = unmeasured(made[section])
        if left_out:
            name = _TITLES[section].partition(" on ")[0].lower()
            notes.append(f"{name}: not measured and in no sum: {', '.join(left_out)}; a pilot measures it (--from OUT)")
    limits = [name for name in unmeasured(made.get("download", {})) if name.startswith("hours")]
    if limits:
        notes.append(f"fetch may take longer: {', '.join(limits)} is not measured; a pilot measures it (--from OUT)")
    if gpus and "GPU-hours" in made and made["GPU-hours"]["score"].value is None:
        notes.append(
            "score on GPUs: not measured, so estimated on cores; a pilot on GPUs measures it (--from, --pilot-gpus)"
        )
    if pilot is None:
        notes.append(f"yields differ between web crawls, and these are not measured with {recipe.name}: run a pilot")
    else:
        notes.append(f"the pilot's seconds are counted as on {pilot.num_cores:,} cores (--pilot-cores)")
        if redacted(pilot.recipe) != redacted(recipe.model_dump(mode="json")):
            notes.append("the pilot ran with another recipe; its yields are used unchanged")
        notes.append("duplicates grow with the input: fewer pages and images are kept than the pilot's share")
    return notes


def _number(figure: Estimate) -> str:
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
        str | None, typer.Option("--from", metavar="OUT", help="Output of a pilot run on a part of the inputs.")
    ] = None,
    pilot_cores: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Cores the pilot ran on; default: this machine's.")
    ] = None,
    pilot_gpus: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs the pilot's score step ran on.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Estimate the cost of a run: pages, core-hours, downloads, bytes written, hours.

    Each figure states its basis: counted, measured, from a pilot run, published or assumed. A pilot run on a few
    archives (--from) gives the best estimate. Needs neither Java nor Spark, and reads no archive.

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
            help="Packed Python environment (`make package`); default: every node has this one at the same path.",
        ),
    ] = None,
    deploy_mode: Annotated[
        Literal["client", "cluster"] | None,
        typer.Option(help="Where the driver runs; default: cluster on Kubernetes, else client."),
    ] = None,
    conf: Annotated[
        list[str] | None,
        typer.Option("--conf", metavar="KEY=VALUE", help="Spark setting; repeatable."),
    ] = None,
    executors: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: as many as the archives keep busy, at most 10.")
    ] = None,
    executor_cores: Annotated[int, typer.Option(metavar="N", min=1, help="Cores per executor.")] = 4,
    gpus_per_executor: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs per executor.")] = 0,
    gpu_discovery: Annotated[
        str | None, typer.Option(metavar="PATH", help="Script on every node that lists its GPUs; see docs/cluster.md.")
    ] = None,
    recipe: RecipeName = "kosmos1",
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    first: FromStep = None,
    last: UntilStep = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the spark-submit command, do not run it.")] = False,
) -> None:
    """Run `weft run` on a cluster with spark-submit, with executors sized for the inputs.

    Checks the arguments before Spark starts, and returns spark-submit's exit status. Needs Spark and Java here, and
    inputs and output that every node can reach. See docs/cluster.md. With --from, INPUT only sizes the executors.

    Example: `weft submit --master yarn --environment dist/environment.tar.gz --output s3://BUCKET/OUT warc.paths.gz`
    """
    from jobs.submit import SubmitRequest, send

    request = SubmitRequest(
        tuple(inputs), output, master, environment, deploy_mode, tuple(conf or ()), executors, executor_cores,
        gpus_per_executor, gpu_discovery, recipe, tuple(assignments or ()), overwrite, first, last,
    )  # fmt: skip
    raise typer.Exit(send(request, dry_run))
