"""How many things of each kind a run will have: from archives to pages, images and documents."""

from collections.abc import Mapping

from pipeline.plan.archives import Archives
from pipeline.plan.figure import Figure, product
from schemas.recipe import Recipe
from schemas.tables import CORPORA

Rates = Mapping[str, Figure]
"""Figures by the names of jobs/rates.yaml."""


def rate(rates: Rates, name: str) -> Figure:
    """Return a rate; one that nobody has is a figure without a value."""
    return rates.get(name) or Figure(None, "", "not measured", ())


def wants_images(recipe: Recipe) -> bool:
    """Tell whether some corpus of a recipe holds images."""
    return not {"interleaved", "caption"}.isdisjoint(recipe.corpora)


def things(archives: Archives, rates: Rates, recipe: Recipe) -> dict[str, Figure]:
    """Return how many there will be of each thing, by the step that makes it, in the order of the steps."""
    size = archives.size(rate(rates, "archive.bytes"))
    read = product("pages", size, rate(rates, "archive.pages"), scale=1e-9)
    found = {
        "extract.read": read,
        "extract.pages": (pages := product("pages", read, rate(rates, "extract.kept"))),
        "extract.captions": (captions := product("captions", pages, rate(rates, "extract.captions"))),
        "filter.pages": (kept := product("pages", pages, rate(rates, "filter.kept"))),
    }
    if "caption" in recipe.corpora:
        found["filter.captions"] = product("captions", captions, rate(rates, "filter.captions_kept"))
    if wants_images(recipe):
        found["fetch.asked"] = product("images", kept, rate(rates, "fetch.images"))
        found["fetch.stored"] = product("images", found["fetch.asked"], rate(rates, "fetch.ok"))
    found["dedup.pages"] = product("pages", kept, rate(rates, "dedup.kept"))
    if wants_images(recipe) and recipe.clip.enabled:
        found["score.images"] = product("images", found["fetch.stored"], rate(rates, "score.images"))
    for corpus in CORPORA:
        if corpus in recipe.corpora:
            found[f"assemble.{corpus}"] = product("documents", read, rate(rates, f"assemble.{corpus}"))
    return found
