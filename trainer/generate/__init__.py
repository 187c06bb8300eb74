"""Generation: continue prompts of text and images with a trained model."""
