"""Raven's matrices (arXiv 2302.14045, section 4.1): generated, solved, written and read."""
