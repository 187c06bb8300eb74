"""Generators of files in the repository."""
