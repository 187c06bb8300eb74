"""Peers whose requirements conflict with Weft's; each runs in its own environment."""
