"""The command line. Each command imports what it needs: training asks for no Spark, statistics for no Java."""

from jobs.cli.program import main

__all__ = ["main"]
