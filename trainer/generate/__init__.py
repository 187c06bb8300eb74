"""Generation: continue prompts of words and images with a trained decoder."""
