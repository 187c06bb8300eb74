"""The processing steps on Arrow and Python objects, without Spark."""
