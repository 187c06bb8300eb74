"""The work itself, on Arrow and Python objects, without Spark."""
