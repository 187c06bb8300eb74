"""Documents and image bytes to WebDataset tars with an index beside each."""
