"""Convert untrusted image bytes to stored images."""
