"""Nobody's server is asked for images by an unknown: a recipe says whom its owner may turn to."""

import ipaddress
from typing import TYPE_CHECKING

from pipeline.fetch.url import host, parse_listed
from schemas.errors import RecipeError
from schemas.recipe import Recipe
from schemas.recipe.fetch import Fetch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def check_contact(recipe: Recipe) -> None:
    """Raise RecipeError when a recipe would have strangers' servers asked without telling them by whom."""
    config = recipe.fetch
    if {"interleaved", "caption"}.isdisjoint(recipe.corpora) or config.contact:
        return
    if config.proxy and not _is_loopback(config.proxy):
        raise _no_contact(f"the proxy {config.proxy} asks strangers' servers")
    if not config.proxy and not config.allow_hosts:
        raise _no_contact("images are asked of strangers' servers")


def _is_loopback(proxy: str) -> bool:
    name = host(proxy)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _no_contact(why: str) -> RecipeError:
    return RecipeError(
        f"{why}, whose owners are to know by whom: --set fetch.contact=https://... or mailto:..., "
        "a page or an address where they learn about the run"
    )


def check_hosts(listed: "DataFrame", config: Fetch) -> None:
    """Raise RecipeError when a list of WANTED has strangers' hosts, and the recipe does not say who asks them."""
    if config.contact or config.proxy:
        return
    from pyspark.sql import functions as F

    named = {parse_listed(name).host for name in config.allow_hosts}
    stranger = listed.where(~F.col("host").isin("", *named)).first()
    if stranger:
        raise _no_contact(f"{stranger['host']} is asked for images")
