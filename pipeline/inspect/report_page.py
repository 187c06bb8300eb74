"""Render a report as one HTML file: the template with styles, scripts, the chart library and the data."""

import base64
import hashlib
import html
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "report"
STYLES = ("colours", "page", "figures", "rules", "samples", "print")
SCRIPTS = (
    "dom", "numbers", "groups", "overview", "funnel", "examples", "rules", "charts", "spreads", "shares", "clusters",
    "shards", "steps", "recipe", "document", "filters", "samples", "theme", "contents", "main",
)  # fmt: skip
_LIBRARY = "window.vegaEmbed = vegaEmbed;"
_MODULE_LINES = re.compile(r"^(import .*\n|export (?=(const|function|class)\b))", re.M)
_SURROGATE = re.compile("[\ud800-\udfff]")


def render(data: dict[str, Any]) -> str:
    """Return the HTML page of a report's data.

    Raises: ValueError when a number is not finite.
    """
    style = "\n".join((FOLDER / "styles" / f"{name}.css").read_text("utf-8") for name in STYLES)
    script, library = _joined(), _library()
    parts = {
        "title": html.escape(str(data["title"])),
        "policy": _policy(style, script, library),
        "style": style,
        "data": as_json(data),
        "library": library,
        "script": script,
    }
    template = (FOLDER / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def as_json(data: Any) -> str:
    """Return JSON for a script element: it neither ends the element nor opens a comment.

    Raises: ValueError when a number is not finite.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def _joined() -> str:
    """Concatenate the scripts in order of their dependencies, without import and export."""
    texts = ((FOLDER / "scripts" / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    return "\n".join(_MODULE_LINES.sub("", text) for text in texts)


@cache
def _library() -> str:
    """Return the chart library as a script that defines one global name: vegaEmbed."""
    from vl_convert import javascript_bundle

    bundle = javascript_bundle(_LIBRARY).replace("</script", r"<\/script").replace("<!--", r"<\!--")
    return f"(() => {{{bundle}}})();"


def _policy(style: str, *scripts: str) -> str:
    """Return the content security policy: only the page's own content, no requests, no injected scripts."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src-elem {_hash(style)}",
            "style-src-attr 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types default",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
