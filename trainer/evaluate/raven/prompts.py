"""Ask for the missing cell as the paper does: each candidate behind the shown cells, ranked by the chance of "Yes".

Here are three images: <image><image><image> The following image is: <image> Is it correct?
"""

from collections.abc import Sequence

from trainer.evaluate.raven.files import Puzzle
from trainer.generate.prompt import PLACEHOLDER, Prompt, format_prompt
from trainer.tokenizer import Tokenizer

YES = "Yes"
_NUMBERS = {3: "three", 4: "four", 8: "eight"}


def words(num_shown: int) -> str:
    """Return the words that are read with so many shown cells and a candidate; `<image>` says where images stand."""
    shown = PLACEHOLDER * num_shown
    return f"Here are {_NUMBERS[num_shown]} images: {shown} The following image is: {PLACEHOLDER} Is it correct?"


def prompts(tokenizer: Tokenizer, puzzle: Puzzle, num_slots: int, max_tokens: int) -> list[Prompt]:
    """Return what the model reads, one prompt for each candidate, in order; `YES` is what it may say next.

    Raises: PathError when an image is gone; RecipeError when the model reads fewer tokens than a prompt takes.
    """
    asked = words(len(puzzle.images))
    return [
        format_prompt(tokenizer, asked, [*puzzle.images, candidate], num_slots, max_tokens)
        for candidate in puzzle.candidates
    ]


def choose(log_p_yes: Sequence[float]) -> int:
    """Return the candidate, from 0, of the highest log-probability of `YES`; of equal ones the first."""
    return max(range(len(log_p_yes)), key=log_p_yes.__getitem__)
