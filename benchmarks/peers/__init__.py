"""Peers that cannot stand in our own environment; each runs in one of its own."""
