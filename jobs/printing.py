"""Print tables and messages."""

import os
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.display import message, printable

_WIDE = 10_000  # characters, more than any line has


class _Unwrapped(Console):
    """A console that neither wraps nor cuts lines in a file or pipe, unless COLUMNS sets a width."""

    def __init__(self, is_error: bool = False) -> None:
        super().__init__(stderr=is_error, markup=False, emoji=False)
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = _WIDE


class _Output(_Unwrapped):
    """Standard output. When its reader closes the pipe, the command ends."""

    def on_broken_pipe(self) -> None:
        """End the command."""
        raise BrokenPipeError


class _Progress(_Unwrapped):
    """Standard error. When its reader closes the pipe, the command continues silently."""

    def on_broken_pipe(self) -> None:
        """Stop printing."""
        self.quiet = True


console = _Output()
progress_console = _Progress(is_error=True)


class PlainTable(Table):
    """A table whose cells are plain text: markup and control characters from the web have no effect."""

    def add_row(self, *cells: str | Text | None, **options: Any) -> None:  # type: ignore[override]
        """Add a row; control characters in strings are escaped."""
        shown = (Text(printable(cell, lines=True)) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*shown, **options)


def table(title: str, *columns: str, numbers: tuple[str, ...] = (), fold: bool = False) -> PlainTable:
    """Make a table of text columns, which a narrow terminal cuts (or wraps, with `fold`), and number columns."""
    made = PlainTable(box=box.SIMPLE, title=title, title_justify="left", pad_edge=False, collapse_padding=True)
    for column in columns:
        made.add_column(column, no_wrap=not fold, overflow="fold" if fold else "ellipsis")
    for column in numbers:
        made.add_column(column, justify="right", no_wrap=True)
    return made


def print_line(line: str) -> None:
    """Print a message as one line of any length; credentials are masked and control characters escaped."""
    console.print(Text(message(line)), soft_wrap=True)
