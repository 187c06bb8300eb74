"""Estimate the cost of a run: estimates, each with its kind of evidence and its sources."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from schemas.recipe import Recipe
from schemas.tables import CORPORA

Known = Literal["counted", "measured", "pilot", "published", "assumed", "not measured"]
SUREST_FIRST: tuple[Known, ...] = get_args(Known)


@dataclass(frozen=True)
class Estimate:
    """A number and its unit; value is None if it has not been measured.

    known:   counted (from the inputs), measured (by Weft's benchmarks), pilot (by a run on some inputs), published (by
             others), assumed
    sources: names of the sources; for a derived estimate, those of the least certain kind
    """

    value: float | None
    unit: str
    known: Known
    sources: tuple[str, ...]


def derived(value: float, unit: str, *parts: Estimate) -> Estimate:
    """Return an estimate with the kind of evidence of its least certain part."""
    known = max((part.known for part in parts), key=SUREST_FIRST.index)
    sources = dict.fromkeys(source for part in parts if part.known == known for source in part.sources)
    return Estimate(value, unit, known, tuple(sources))


def product(unit: str, *factors: Estimate, scale: float = 1.0) -> Estimate:
    """Return the product of estimates; without a value if a factor has none."""
    value = scale
    for factor in factors:
        if factor.value is None:
            return Estimate(None, unit, "not measured", factor.sources)
        value *= factor.value
    return derived(value, unit, *factors)


def total(unit: str, terms: Sequence[Estimate]) -> Estimate:
    """Return the sum of estimates; without a value if a term has none, or there are no terms."""
    values = [term.value for term in terms if term.value is not None]
    if not terms or len(values) < len(terms):
        return Estimate(None, unit, "not measured", ())
    return derived(sum(values), unit, *terms)


def total_known(unit: str, terms: Sequence[Estimate]) -> Estimate:
    """Return the sum of the estimates with a value: a lower bound."""
    return total(unit, [term for term in terms if term.value is not None])


@dataclass(frozen=True)
class Archives:
    """The archives of the inputs. num_unsized of them are remote, and their sizes are not known."""

    num: int
    sized_bytes: int
    num_unsized: int

    def num_bytes(self, mean_bytes: float) -> int:
        """Return the total size, with a mean size for each archive of unknown size."""
        return self.sized_bytes + round(self.num_unsized * mean_bytes)

    def size(self, mean_bytes: Estimate) -> Estimate:
        """Return the same as an estimate; without a value if sizes and the mean size are unknown."""
        if not self.num_unsized:
            return Estimate(float(self.sized_bytes), "bytes", "counted", ("the files' sizes",))
        if mean_bytes.value is None:
            return Estimate(None, "bytes", "not measured", mean_bytes.sources)
        return Estimate(float(self.num_bytes(mean_bytes.value)), "bytes", mean_bytes.known, mean_bytes.sources)


def count_archives(inputs: Sequence[str]) -> Archives:
    """Count the archives of the inputs, and sum the sizes of local ones.

    Raises: PathError like pipeline.warc.inputs.expand.
    """
    from pipeline.warc.inputs import expand

    found = expand(list(inputs))
    local = [archive for archive in found if "://" not in archive]
    return Archives(len(found), sum(Path(a).stat().st_size for a in local), len(found) - len(local))


Rates = Mapping[str, Estimate]
"""Estimates by the names of jobs/rates.yaml."""


def rate(rates: Rates, name: str) -> Estimate:
    """Return a rate; an estimate without a value if it is not known."""
    return rates.get(name) or Estimate(None, "", "not measured", ())


def wants_images(recipe: Recipe) -> bool:
    """Return whether any corpus of a recipe has images."""
    return not {"interleaved", "caption"}.isdisjoint(recipe.corpora)


def units(archives: Archives, rates: Rates, recipe: Recipe) -> dict[str, Estimate]:
    """Estimate the number of units that each step makes, in the order of the steps."""
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


_HOURS = 1 / 3600


def core_hours(made: Mapping[str, Estimate], rates: Rates, recipe: Recipe) -> dict[str, Estimate]:
    """Estimate the core-hours of each step that has work to do."""
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


def gpu_hours(made: Mapping[str, Estimate], rates: Rates) -> Estimate | None:
    """Estimate the GPU-hours of score from a pilot on GPUs; None if nothing is scored."""
    images = made.get("score.images")
    return images and product("GPU-hours", images, rate(rates, "score.gpu_seconds"), scale=_HOURS)


def _each(num: Estimate | None, rates: Rates, name: str) -> Estimate | None:
    return num and product("core-hours", num, rate(rates, name), scale=_HOURS)


def _extract(read: Estimate, pages: Estimate, rates: Rates) -> Estimate:
    kept = product("core-hours", pages, rate(rates, "extract.kept_core_seconds"), scale=_HOURS)
    if read.value is None or pages.value is None:
        return product("core-hours", read, pages)
    rejected = derived(read.value - pages.value, "pages", read, pages)
    terms = [kept, product("core-hours", rejected, rate(rates, "extract.rejected_core_seconds"), scale=_HOURS)]
    return total("core-hours", terms)


def _dedup(made: Mapping[str, Estimate], rates: Rates, recipe: Recipe) -> Estimate | None:
    """Use the pilot's total; else the sum of the recipe's near-duplicate text and image detection."""
    of_pilot = _each(made["filter.pages"], rates, "dedup.core_seconds")
    parts = []
    if recipe.dedup.minhash.enabled:
        parts.append(_each(made["filter.pages"], rates, "dedup.near_text_core_seconds"))
    if recipe.dedup.phash_distance is not None:
        parts.append(_each(made.get("fetch.stored"), rates, "dedup.near_duplicate_image_core_seconds"))
    known = [part for part in parts if part is not None]
    return of_pilot if (of_pilot and of_pilot.value is not None) or not known else total("core-hours", known)


def hours(
    cost: Mapping[str, Estimate],
    on_gpus: Estimate | None,
    download: Estimate | None,
    num_archives: int,
    cores: int,
    gpus: int,
) -> dict[str, Estimate]:
    """Estimate the wall time of each step on the given cores and GPUs.

    An archive is one task of extract. Fetch takes as long as its downloads. GPUs only score; without a pilot on GPUs,
    cores score too.
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


def download(made: Mapping[str, Estimate], rates: Rates, recipe: Recipe, cores: int) -> dict[str, Estimate]:
    """Estimate requests, bytes, and the hours by each limit; empty without images.

    Each core runs a task with `fetch.threads` concurrent requests. A host's images are requested by one task at a
    limited rate: the busiest host may take longest.
    """
    images = made.get("fetch.asked")
    if images is None:
        return {}
    requests = product("requests", images, rate(rates, "fetch.requests"))
    num_concurrent = cores * recipe.fetch.threads
    found = {
        "requests": requests,
        "bytes": product("bytes", images, rate(rates, "fetch.bytes")),
        "hours by the cores": product("hours", images, rate(rates, "fetch.core_seconds"), scale=_HOURS / cores),
        "hours by concurrent requests": product(
            "hours", images, rate(rates, "fetch.seconds"), scale=_HOURS / num_concurrent
        ),
    }
    if recipe.fetch.host_requests_per_second and not recipe.fetch.proxy:
        share = product("requests", requests, rate(rates, "fetch.busiest_host"))
        interval = recipe.fetch.host_interval_seconds * _HOURS
        found["hours by the busiest host"] = product("hours", share, scale=interval)
    return found


def longest(found: Mapping[str, Estimate]) -> Estimate | None:
    """Return the hours of the strictest limit; None without downloads."""
    hours = [figure for figure in found.values() if figure.unit == "hours"]
    return max(hours, key=lambda figure: figure.value or 0.0, default=None)


ALL = "all"  # the name of a section's sum of known estimates
Plan = dict[str, dict[str, Estimate]]
"""Estimates by section and name: input, things, core-hours, GPU-hours, download, disk, hours."""


def estimate(archives: Archives, rates: Rates, recipe: Recipe, cores: int, gpus: int = 0) -> Plan:
    """Estimate a run of a recipe over archives on the given cores and GPUs."""
    made = units(archives, rates, recipe)
    cost, on_gpus = core_hours(made, rates, recipe), gpu_hours(made, rates)
    downloads = download(made, rates, recipe, cores)
    wall_hours = hours(cost, on_gpus, longest(downloads), archives.num, cores, gpus)
    found: Plan = {
        "input": {
            "archives": Estimate(float(archives.num), "archives", "counted", ("the inputs",)),
            "bytes": archives.size(rate(rates, "archive.bytes")),
        },
        "things": made,
        "core-hours": {**cost, ALL: total_known("core-hours", list(cost.values()))},
        "GPU-hours": {"score": on_gpus} if gpus and on_gpus else {},
        "download": downloads,
        "disk": _disk(made, rates),
        "hours": {**wall_hours, ALL: total_known("hours", list(wall_hours.values()))},
    }
    return {section: figures for section, figures in found.items() if figures}


def unmeasured(figures: Mapping[str, Estimate]) -> list[str]:
    """List the estimates of a section without a value, which its sum omits."""
    return [name for name, figure in figures.items() if figure.value is None and name != ALL]


def _disk(made: Mapping[str, Estimate], rates: Rates) -> dict[str, Estimate]:
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
