"""Images and texts to embeddings by CLIP, and the similarity of each pair."""
