"""One module per verb: read, extract, fetch, decode, score, deduplicate, assemble, write."""
