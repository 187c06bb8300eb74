"""Tables and sentences for people."""

import os
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.display import message, printable

_WIDE = 10_000  # characters: no line is longer


class _Unwrapped(Console):
    """A console that neither wraps nor cuts a line in a file or a pipe, unless COLUMNS says how wide that is."""

    def __init__(self, is_error: bool = False) -> None:
        super().__init__(stderr=is_error, markup=False, emoji=False)
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = _WIDE


class _Output(_Unwrapped):
    """Standard output. Where its reader leaves, the command has nobody to work for."""

    def on_broken_pipe(self) -> None:
        """Let the command end."""
        raise BrokenPipeError


class _Progress(_Unwrapped):
    """Standard error. Where its reader leaves, the work goes on unseen."""

    def on_broken_pipe(self) -> None:
        """Print no more."""
        self.quiet = True


console = _Output()
progress_console = _Progress(is_error=True)


class PlainTable(Table):
    """A table whose cells are text: what strangers wrote is neither markup nor control characters."""

    def add_row(self, *cells: str | Text | None, **options: Any) -> None:  # type: ignore[override]
        """Add a row; of a string, what acts on a terminal is spelled out."""
        shown = (Text(printable(cell, lines=True)) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*shown, **options)


def table(title: str, *columns: str, numbers: tuple[str, ...] = (), fold: bool = False) -> PlainTable:
    """Make a table of columns of words, which are folded on a narrow terminal or cut, and columns of numbers."""
    made = PlainTable(box=box.SIMPLE, title=title, title_justify="left", pad_edge=False, collapse_padding=True)
    for column in columns:
        made.add_column(column, no_wrap=not fold, overflow="fold" if fold else "ellipsis")
    for column in numbers:
        made.add_column(column, justify="right", no_wrap=True)
    return made


def say(line: str) -> None:
    """Print a sentence in one line, as long as it is, without credentials and what acts on a terminal."""
    console.print(Text(message(line)), soft_wrap=True)
