"""`python -m jobs.cli` is `weft`."""

from jobs.cli.program import main

main()
