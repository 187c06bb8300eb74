"""The page of a report: one HTML file that holds all it shows, and asks nothing of any network."""

from pipeline.report.page.render import render

__all__ = ["render"]
