"""Addresses to bytes by img2dataset, and each failure to its class."""
