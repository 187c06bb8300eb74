"""From shards to batches: the global batch at step s is a pure function of the shards, the seed and s."""
