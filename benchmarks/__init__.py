"""Benchmarks: Weft and its peers, measured in turn in one run."""
