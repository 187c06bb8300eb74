"""What a run will cost: core-hours and GPU-hours of each step, and hours on given machines."""

import math
from collections.abc import Mapping

from pipeline.plan.figure import Figure, derived, product, total
from pipeline.plan.things import Rates, rate
from schemas.recipe import Recipe
from schemas.tables import CORPORA

_HOURS = 1 / 3600


def core_hours(made: Mapping[str, Figure], rates: Rates, recipe: Recipe) -> dict[str, Figure]:
    """Return the core-hours of each step that has something to do."""
    read, pages = made["extract.read"], made["extract.pages"]
    documents = total("documents", [made[f"assemble.{c}"] for c in CORPORA if f"assemble.{c}" in made])
    found = {
        "extract": _extract(read, pages, rates),
        "filter": _each(pages, rates, "filter.core_seconds"),
        "fetch": _each(made.get("fetch.asked"), rates, "fetch.core_seconds"),
        "dedup": _dedup(made, rates, recipe),
        "score": _each(made.get("score.images"), rates, "score.core_seconds"),
        "assemble": _each(documents, rates, "assemble.core_seconds"),
        "shard": _each(documents, rates, "shard.core_seconds"),
    }
    return {step: figure for step, figure in found.items() if figure is not None}


def gpu_hours(made: Mapping[str, Figure], rates: Rates) -> Figure | None:
    """Return the GPU-hours of score, as a pilot on GPUs says; None where nothing is scored."""
    things = made.get("score.images")
    return things and product("GPU-hours", things, rate(rates, "score.gpu_seconds"), scale=_HOURS)


def _each(things: Figure | None, rates: Rates, name: str) -> Figure | None:
    return things and product("core-hours", things, rate(rates, name), scale=_HOURS)


def _extract(read: Figure, pages: Figure, rates: Rates) -> Figure:
    kept = product("core-hours", pages, rate(rates, "extract.kept_core_seconds"), scale=_HOURS)
    if read.value is None or pages.value is None:
        return product("core-hours", read, pages)
    refused = derived(read.value - pages.value, "pages", read, pages)
    terms = [kept, product("core-hours", refused, rate(rates, "extract.rejected_core_seconds"), scale=_HOURS)]
    return total("core-hours", terms)


def _dedup(made: Mapping[str, Figure], rates: Rates, recipe: Recipe) -> Figure | None:
    """Take a pilot's whole; else add up what the recipe asks for of near texts and look-alikes."""
    whole = _each(made["filter.pages"], rates, "dedup.core_seconds")
    parts = []
    if recipe.dedup.near_text.enabled:
        parts.append(_each(made["filter.pages"], rates, "dedup.near_text_core_seconds"))
    if recipe.dedup.image_distance is not None:
        parts.append(_each(made.get("fetch.stored"), rates, "dedup.lookalike_core_seconds"))
    known = [part for part in parts if part is not None]
    return whole if (whole and whole.value is not None) or not known else total("core-hours", known)


def hours(
    cost: Mapping[str, Figure],
    on_gpus: Figure | None,
    download: Figure | None,
    num_archives: int,
    cores: int,
    gpus: int,
) -> dict[str, Figure]:
    """Return how long each step takes on given cores and GPUs, as a clock tells.

    An archive is one task of extract. Fetch takes as long as its downloads. GPUs do nothing but score; where no
    pilot says what they take, cores do that too.
    """
    found = {step: product("hours", figure, scale=1 / cores) for step, figure in cost.items()}
    if found["extract"].value is not None and num_archives:
        waves = math.ceil(num_archives / cores)
        found["extract"] = product("hours", cost["extract"], scale=waves / num_archives)
    if download:
        found["fetch"] = download
    if gpus and on_gpus and on_gpus.value is not None:
        found["score"] = product("hours", on_gpus, scale=1 / gpus)
    return found
