"""Reckon what a run will read, make, cost and fill, each figure with how it is known."""

from collections.abc import Mapping

from pipeline.plan.archives import Archives
from pipeline.plan.download import download, longest
from pipeline.plan.figure import Figure, product, total, total_known
from pipeline.plan.things import Rates, rate, things
from pipeline.plan.work import core_hours, gpu_hours, hours
from schemas.recipe import Recipe
from schemas.tables import CORPORA

ALL = "all"  # the name of a section's sum of what is known
Plan = dict[str, dict[str, Figure]]
"""Figures by section and name: input, things, core-hours, GPU-hours, download, disk, hours."""


def plan(archives: Archives, rates: Rates, recipe: Recipe, cores: int, gpus: int = 0) -> Plan:
    """Reckon a run of a recipe over archives on given cores and GPUs."""
    made = things(archives, rates, recipe)
    cost, on_gpus = core_hours(made, rates, recipe), gpu_hours(made, rates)
    asked = download(made, rates, recipe, cores)
    took = hours(cost, on_gpus, longest(asked), archives.num, cores, gpus)
    found: Plan = {
        "input": {
            "archives": Figure(float(archives.num), "archives", "counted", ("the inputs",)),
            "bytes": archives.size(rate(rates, "archive.bytes")),
        },
        "things": made,
        "core-hours": {**cost, ALL: total_known("core-hours", list(cost.values()))},
        "GPU-hours": {"score": on_gpus} if gpus and on_gpus else {},
        "download": asked,
        "disk": _disk(made, rates),
        "hours": {**took, ALL: total_known("hours", list(took.values()))},
    }
    return {section: figures for section, figures in found.items() if figures}


def unmeasured(figures: Mapping[str, Figure]) -> list[str]:
    """List the figures of a section that nobody has measured: its sum leaves them out."""
    return [name for name, figure in figures.items() if figure.value is None and name != ALL]


def _disk(made: Mapping[str, Figure], rates: Rates) -> dict[str, Figure]:
    documents = total("documents", [made[f"assemble.{c}"] for c in CORPORA if f"assemble.{c}" in made])
    rows = {
        "pages": made["extract.pages"],
        "captions": made["extract.captions"],
        "measures": made["extract.pages"],
        "images": made.get("fetch.stored"),
        "scores": made.get("score.images"),
        "documents": documents,
        "rejections": made["extract.read"],
        **{f"shards.{corpus}": made.get(f"assemble.{corpus}") for corpus in CORPORA},
    }
    sizes = {t: product("bytes", n, rate(rates, f"{t}.bytes")) for t, n in rows.items() if n is not None}
    return {**sizes, ALL: total_known("bytes", list(sizes.values()))}
