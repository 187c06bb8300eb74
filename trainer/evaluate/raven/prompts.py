"""Ask for the missing cell as the paper does: each candidate behind the shown cells, ranked by the chance of "Yes".

Here are three images: <image><image><image> The following image is: <image> Is it correct?
"""

from trainer.generate.prompt import PLACEHOLDER

YES = "Yes"
_NUMBERS = {3: "three", 4: "four", 8: "eight"}


def words(num_shown: int) -> str:
    """Return the words that are read with so many shown cells and a candidate; `<image>` says where images stand."""
    shown = PLACEHOLDER * num_shown
    return f"Here are {_NUMBERS[num_shown]} images: {shown} The following image is: {PLACEHOLDER} Is it correct?"
