"""Images and texts to embeddings by CLIP, and the likeness of each pair."""
