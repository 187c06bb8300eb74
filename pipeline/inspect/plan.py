"""What a run will cost before it runs: figures, each with how it is known and where from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pipeline.warc.inputs import expand
from schemas.recipe import Recipe
from schemas.tables import CORPORA

Known = Literal["counted", "measured", "pilot", "published", "assumed", "not measured"]
SUREST_FIRST: tuple[Known, ...] = get_args(Known)


@dataclass(frozen=True)
class Figure:
    """A number and its unit; value is None where nobody has measured it.

    known: counted (of the inputs), measured (by a benchmark of ours), pilot (by a run on a part of the inputs),
    published (by others), assumed. sources say by what; of a derived figure, by what of the least sure kind.
    """

    value: float | None
    unit: str
    known: Known
    sources: tuple[str, ...]


def derived(value: float, unit: str, *parts: Figure) -> Figure:
    """Return a figure that is as sure as the least sure of those that it was made from."""
    known = max((part.known for part in parts), key=SUREST_FIRST.index)
    sources = dict.fromkeys(source for part in parts if part.known == known for source in part.sources)
    return Figure(value, unit, known, tuple(sources))


def product(unit: str, *factors: Figure, scale: float = 1.0) -> Figure:
    """Return the product of figures; without a value where one of them has none."""
    value = scale
    for factor in factors:
        if factor.value is None:
            return Figure(None, unit, "not measured", factor.sources)
        value *= factor.value
    return derived(value, unit, *factors)


def total(unit: str, terms: Sequence[Figure]) -> Figure:
    """Return the sum of figures; without a value where one of them has none, or where there are none."""
    values = [term.value for term in terms if term.value is not None]
    if not terms or len(values) < len(terms):
        return Figure(None, unit, "not measured", ())
    return derived(sum(values), unit, *terms)


def total_known(unit: str, terms: Sequence[Figure]) -> Figure:
    """Return the sum of those figures that have a value: of what nobody measured it is a lower bound."""
    return total(unit, [term for term in terms if term.value is not None])


@dataclass(frozen=True)
class Archives:
    """The archives that inputs mean. num_unsized of them lie elsewhere, and their sizes were not looked up."""

    num: int
    sized_bytes: int
    num_unsized: int

    def num_bytes(self, mean_bytes: float) -> int:
        """Return the size of all, where each that was not looked up has a mean size."""
        return self.sized_bytes + round(self.num_unsized * mean_bytes)

    def size(self, mean_bytes: Figure) -> Figure:
        """Return the same as a figure, which is as sure as the sizes are; without a value where a size is missing."""
        if not self.num_unsized:
            return Figure(float(self.sized_bytes), "bytes", "counted", ("the files' sizes",))
        if mean_bytes.value is None:
            return Figure(None, "bytes", "not measured", mean_bytes.sources)
        return Figure(float(self.num_bytes(mean_bytes.value)), "bytes", mean_bytes.known, mean_bytes.sources)


def count_archives(inputs: Sequence[str]) -> Archives:
    """Count the archives that inputs mean, and add up the sizes of local ones.

    Raises: PathError as pipeline.warc.inputs.expand.
    """
    found = expand(list(inputs))
    local = [archive for archive in found if "://" not in archive]
    return Archives(len(found), sum(Path(a).stat().st_size for a in local), len(found) - len(local))


Rates = Mapping[str, Figure]
"""Figures by the names of jobs/rates.yaml."""


def rate(rates: Rates, name: str) -> Figure:
    """Return a rate; one that nobody has is a figure without a value."""
    return rates.get(name) or Figure(None, "", "not measured", ())


def wants_images(recipe: Recipe) -> bool:
    """Tell whether some corpus of a recipe holds images."""
    return not {"interleaved", "caption"}.isdisjoint(recipe.corpora)


def units(archives: Archives, rates: Rates, recipe: Recipe) -> dict[str, Figure]:
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
    """Take a pilot's whole; else add up what the recipe asks for of near texts and near-duplicates."""
    whole = _each(made["filter.pages"], rates, "dedup.core_seconds")
    parts = []
    if recipe.dedup.minhash.enabled:
        parts.append(_each(made["filter.pages"], rates, "dedup.near_text_core_seconds"))
    if recipe.dedup.phash_distance is not None:
        parts.append(_each(made.get("fetch.stored"), rates, "dedup.near_duplicate_image_core_seconds"))
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


def download(made: Mapping[str, Figure], rates: Rates, recipe: Recipe, cores: int) -> dict[str, Figure]:
    """Return requests, bytes, and the hours by each limit; nothing where no image is asked for.

    Every core runs a task of `fetch.threads` requests under way. One host's images are asked for by one task, so many
    a second: the busiest host may take longest.
    """
    asked = made.get("fetch.asked")
    if asked is None:
        return {}
    requests = product("requests", asked, rate(rates, "fetch.requests"))
    under_way = cores * recipe.fetch.threads
    found = {
        "requests": requests,
        "bytes": product("bytes", asked, rate(rates, "fetch.bytes")),
        "hours by the cores": product("hours", asked, rate(rates, "fetch.core_seconds"), scale=_HOURS / cores),
        "hours by requests under way": product("hours", asked, rate(rates, "fetch.seconds"), scale=_HOURS / under_way),
    }
    if recipe.fetch.host_requests_per_second and not recipe.fetch.proxy:
        share = product("requests", requests, rate(rates, "fetch.busiest_host"))
        interval = recipe.fetch.host_interval_seconds * _HOURS
        found["hours by the busiest host"] = product("hours", share, scale=interval)
    return found


def longest(found: Mapping[str, Figure]) -> Figure | None:
    """Return the hours of the limit that binds; None without downloads."""
    hours = [figure for figure in found.values() if figure.unit == "hours"]
    return max(hours, key=lambda figure: figure.value or 0.0, default=None)


ALL = "all"  # the name of a section's sum of what is known
Plan = dict[str, dict[str, Figure]]
"""Figures by section and name: input, things, core-hours, GPU-hours, download, disk, hours."""


def estimate(archives: Archives, rates: Rates, recipe: Recipe, cores: int, gpus: int = 0) -> Plan:
    """Reckon a run of a recipe over archives on given cores and GPUs."""
    made = units(archives, rates, recipe)
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
