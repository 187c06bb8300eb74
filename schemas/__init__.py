"""Schemas of tables, shards, manifests and recipes. Imports neither Spark nor torch."""
