"""Tables and sentences for people."""

from rich import box
from rich.console import Console
from rich.table import Table

console = Console()


def table(title: str, *columns: str, numbers: tuple[str, ...] = (), fold: bool = False) -> Table:
    """Make a table of columns of words, which are folded on a narrow terminal or cut, and columns of numbers."""
    made = Table(box=box.SIMPLE, title=title, title_justify="left", pad_edge=False, collapse_padding=True)
    for column in columns:
        made.add_column(column, no_wrap=not fold, overflow="fold" if fold else "ellipsis")
    for column in numbers:
        made.add_column(column, justify="right", no_wrap=True)
    return made


def say(line: str) -> None:
    """Print a sentence, as long as it is."""
    console.print(line, highlight=False, soft_wrap=True, markup=False)
