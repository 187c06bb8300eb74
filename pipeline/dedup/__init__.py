"""Hashes and n-grams that find duplicates, near-duplicates and contamination."""
