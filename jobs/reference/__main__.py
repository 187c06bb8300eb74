"""Write the reference pages into a folder: `python -m jobs.reference docs`."""

import sys
from pathlib import Path

from jobs.reference import PAGES

USAGE = "usage: python -m jobs.reference DIR"


def main() -> None:
    """Write every page into the folder that the only argument names."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), "utf-8")
        print(folder / name)


main()
