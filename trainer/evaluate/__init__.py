"""What a trained model does without a further step of training, measured as Kosmos-1 was."""
