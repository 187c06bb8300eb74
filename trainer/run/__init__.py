"""A run: processes that train together, step after step, and what they save."""
