"""Reference pages, made from the code that they are about: `python -m jobs.reference docs` writes them.

tables    every table and every member of a sample, from schemas/tables.py and schemas/shards.py
recipes   every key of a recipe, from schemas/recipe, and what each shipped recipe sets
commands  every command and its options, from the command line itself
"""

from collections.abc import Callable

from jobs.reference.commands import commands
from jobs.reference.recipes import recipes
from jobs.reference.tables import tables

PAGES: dict[str, Callable[[], str]] = {"tables.md": tables, "recipes.md": recipes, "commands.md": commands}

__all__ = ["PAGES"]
