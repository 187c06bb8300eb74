"""What every table, shard, manifest and recipe holds. Imports neither Spark nor torch."""
