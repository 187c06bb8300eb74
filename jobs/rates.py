"""The rates by which `weft plan` and `weft submit` reckon: those that ship, each with its unit and its source."""

from importlib.resources import files

import yaml

from pipeline.plan.figure import Figure

_SHIPPED = files("jobs") / "rates.yaml"


def shipped_rates() -> dict[str, Figure]:
    """Return the shipped rates by name; their facts about archives are of Common Crawl."""
    listed = yaml.safe_load(_SHIPPED.read_text("utf-8"))
    return {
        name: Figure(rate["value"], rate["unit"], rate["known"], (rate["source"],)) for name, rate in listed.items()
    }
