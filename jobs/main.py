"""The script that spark-submit takes: with the options of `weft run`, it is that command; see docs/cluster.md."""

import sys
from pathlib import Path

if not __package__:  # run as a script: the packages are beside this file's folder, unless they are installed
    sys.path[: not sys.flags.safe_path] = []
    sys.path.append(str(Path(__file__).resolve().parent.parent))  # last: site-packages may hold another `dataclasses`

from jobs.cli.app import main

if __name__ == "__main__":
    sys.argv.insert(1, "run")
    main()
