"""`python -m jobs.cli` is `weft`."""

from jobs.cli.app import main

main()
