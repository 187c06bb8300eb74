"""Markdown made of words that strangers wrote: nothing of them becomes markup, a link or a new line."""

import re
from collections.abc import Iterable, Sequence

MOST_CHARACTERS = 300  # of one stranger's word: longer ones are cut
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!$&])")
_LINK = re.compile(r"(://|@|\bwww\.)", re.IGNORECASE)  # what GitHub's Markdown takes for a link by itself


def plain(text: str) -> str:
    """Return text as one line of words, with every sign of markup escaped."""
    escaped = _MARKUP.sub(r"\\\1", _one_line(text))
    return _LINK.sub(lambda m: m[1].replace(":", "&#58;").replace("@", "&#64;").replace(".", "&#46;"), escaped)


def code(text: str) -> str:
    """Return text as a code span, whatever backticks it holds."""
    line = _one_line(text)
    fence = "`" * (_longest_run(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def block(text: str, language: str) -> str:
    """Return text as a fenced block of code, whatever backticks it holds."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already; a | in them does not end a cell."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)((?:\\\\)*)\|", r"\1\\|", text.replace("\n", " "))


def _one_line(text: str) -> str:
    cut = text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"
    return "".join(c if c.isprintable() else " " for c in cut)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
