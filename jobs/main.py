"""The script for spark-submit: it takes the options of `weft run` and does the same; see docs/cluster.md."""

import sys
from pathlib import Path

if not __package__:  # run as a script: without an installation the packages are beside this file's folder
    sys.path[: not sys.flags.safe_path] = []
    sys.path.append(str(Path(__file__).resolve().parent.parent))  # last: site-packages may hold another `dataclasses`

from jobs.cli.app import main

if __name__ == "__main__":
    sys.argv.insert(1, "run")
    main()
