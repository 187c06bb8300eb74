"""A response of HTML in, a page of text and images in reading order out."""

from pipeline.extract.page import Page, extract_page

__all__ = ["Page", "extract_page"]
