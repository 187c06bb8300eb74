"""Raven's matrices (Kosmos-1, section on nonverbal reasoning): drawn, proved, kept in files and asked."""
