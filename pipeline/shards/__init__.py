"""Write, describe and verify shards: WebDataset tars with an index beside each."""
