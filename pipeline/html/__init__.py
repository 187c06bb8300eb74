"""Extract a page of text and images in reading order from an HTML response."""
