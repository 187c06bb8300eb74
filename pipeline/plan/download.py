"""What a run asks of other people's servers: requests, bytes, and how long politeness makes it take."""

from collections.abc import Mapping

from pipeline.plan.figure import Figure, product
from pipeline.plan.things import Rates, rate
from schemas.recipe import Recipe

_HOURS = 1 / 3600


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
