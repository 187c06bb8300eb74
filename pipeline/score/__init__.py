"""CLIP embeddings of images and texts, and similarity scores of pairs."""
