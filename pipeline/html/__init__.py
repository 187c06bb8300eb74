"""A response of HTML in, a page of text and images in reading order out."""
