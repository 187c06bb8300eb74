"""Plot the study: the figures of every seed and their mean, by corpus."""

from pathlib import Path
from statistics import fmean
from typing import Any

import vl_convert

_WIDTH_PIXELS, _ROW_PIXELS = 260, 22
_SHOWN = {
    "loss": "loss of held-out captions [nats a token; less is better]",
    "cider": "CIDEr of what is said (100 times; an exact caption has 1,000)",
    "cider_shuffled": "the same, with each other's images",
}


def plot(told: dict[str, dict[str, Any]], path: Path) -> None:
    """Write the results of the study as SVG."""
    names = list(told)
    panels = [
        {"title": title, "width": _WIDTH_PIXELS, "height": {"step": _ROW_PIXELS}, "layer": [
            _marks(told, names, figure, "point"), _marks(told, names, figure, "tick"),
        ]}
        for figure, title in _SHOWN.items()
    ]  # fmt: skip
    specification = {"hconcat": panels, "config": {"background": "white", "axis": {"titleFontSize": 10}}}
    path.write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")


def _marks(told: dict[str, dict[str, Any]], names: list[str], figure: str, mark: str) -> dict[str, Any]:
    """Return a layer: a point for each seed, or a tick at their mean."""
    values = []
    for name in names:
        figures = [seed[figure] for seed in told[name]["seeds"]]
        values += [{"corpus": name, "value": value} for value in ([fmean(figures)] if mark == "tick" else figures)]
    x = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    return {
        "data": {"values": values},
        "mark": {"type": mark, "thickness": 3, "size": 18 if mark == "tick" else 40},
        "encoding": {"x": x, "y": {"field": "corpus", "type": "nominal", "title": None, "sort": names}},
    }
