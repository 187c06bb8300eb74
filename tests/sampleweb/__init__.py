"""A small web of our own and the truth about it: drawn scenes, pages that describe them, a CLIP that knows both."""

from pathlib import Path

RECIPE = Path(__file__).parent / "recipe.yaml"
