"""Print what a run will cost before it is run."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.filesize import decimal
from rich.text import Text

from jobs import recipes
from jobs.printing import console, say, table
from jobs.rates import shipped_rates
from pipeline.plan.archives import count_archives
from pipeline.plan.figure import Figure
from pipeline.plan.pilot import Pilot
from pipeline.plan.plan import ALL, Plan, plan, unmeasured
from schemas.display import to_json
from schemas.overrides import override, validate
from schemas.recipe import Recipe
from schemas.secrets import redacted

_TITLES = {
    "input": "Input",
    "things": "What each step makes",
    "core-hours": "Core-hours",
    "GPU-hours": "GPU-hours",
    "download": "Downloads",
    "disk": "Bytes written",
    "hours": "Hours on {cores:,} cores",
}


def show(
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
    found = plan(count_archives(inputs), known, chosen, cores, gpus)
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
        values = override(pilot.recipe, list(assignments))
        return validate(Recipe, values, f"the recipe of {pilot.directory}")
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
