"""Image bytes of strangers to stored images."""
