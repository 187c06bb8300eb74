"""Generate: a trained decoder goes on with prompts of words and images."""
