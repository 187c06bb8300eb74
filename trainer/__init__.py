"""A Kosmos-1 model: data loading, training, checkpoints, generation, evaluation. Runs without Java and Spark."""
