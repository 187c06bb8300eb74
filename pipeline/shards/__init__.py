"""Documents and image bytes to WebDataset tars with an index beside each, and what such shards hold."""
