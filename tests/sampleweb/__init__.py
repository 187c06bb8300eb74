"""A small synthetic web with ground truth: drawn scenes, pages that describe them, and a CLIP trained on both."""

from pathlib import Path

RECIPE = Path(__file__).parent / "recipe.yaml"
