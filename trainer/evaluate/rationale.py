"""Multimodal chain of thought: the model first introduces the picture, and is asked with its own words in front.

Source: arXiv 2302.14045, section 4.4 and figure 5.
"""

from dataclasses import replace

from schemas.errors import RecipeError
from trainer.evaluate.example import Answer, Example, plain
from trainer.evaluate.task import Manner
from trainer.generate.prompt import PLACEHOLDER

ASK = "Introduce this picture in detail:"
INTRODUCING = Manner("say", max_tokens=64)


def introduce(example: Example) -> Example:
    """Return what is asked first. Raises: RecipeError when the example is not about one picture."""
    if len(example.images) != 1 or example.candidates or PLACEHOLDER not in example.words:
        raise RecipeError("--rationale is for tasks that ask about one picture each")
    return Example(example.id, f"{PLACEHOLDER} {ASK}", example.images, example.right)


def reason(example: Example, said: Answer) -> Example:
    """Return the example with what the model said of its picture between the picture and the question."""
    before, _, behind = example.words.partition(PLACEHOLDER)
    return replace(example, words=f"{before}{PLACEHOLDER} {ASK} {plain(said.text)}\n{behind.lstrip()}")
