"""What came into each step, what its rules took, and what went on.

taken  rows of the ledger to things that rules took: one thing may have several rows
steps  the funnel, step by step and rule by rule
hosts  what each host brought in, and which rules took it
"""

from pipeline.funnel.hosts import by_host
from pipeline.funnel.steps import by_rule, funnel

__all__ = ["by_host", "by_rule", "funnel"]
