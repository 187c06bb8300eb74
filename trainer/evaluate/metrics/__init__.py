"""The metrics by which Kosmos-1 was evaluated, each as its benchmark defines it: pure functions."""
