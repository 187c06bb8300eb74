"""`python -m jobs.cli` is `weft`."""

from jobs.cli.main import main

main()
