"""A talk: a person and a trained model take turns, with images. Each turn's prompt is all that was said so far.

It is one document of words and images, as training's interleaved format has them: an answer goes on with the words
before it, and words behind an answer stand in a line of their own.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.display import message
from schemas.errors import RecipeError, WeftError
from trainer.generate.continuation import pixels
from trainer.generate.prompt import PLACEHOLDER
from trainer.generate.run import Request, stream, tell
from trainer.saved import Saved
from trainer.tokenizer import Tokenizer

HELP = "Say something. /image PATH puts an image before your next words; /new begins anew; /quit ends."
_IMAGE = re.compile(r"""/image\s+(?:(["'])(?P<quoted>.+?)\1|(?P<bare>\S+))\s*(?P<words>.*)""")


@dataclass(frozen=True)
class Said:
    """What was said so far, and which images were shown."""

    words: tuple[str, ...] = ("",)
    """Before, between and behind the images: one text more than there are images."""
    images: tuple[Path, ...] = ()

    @property
    def request(self) -> Request:
        """All of it as one prompt."""
        return Request(PLACEHOLDER.join(self.words), self.images)

    def shown(self, image: Path) -> "Said":
        """Return it with an image behind."""
        return Said((*self.words, ""), (*self.images, image))

    def told(self, words: str) -> "Said":
        """Return it with a person's words behind, in a line of their own."""
        return self._ending("\n".join(filter(None, (self.words[-1], words))))

    def answered(self, tokenizer: Tokenizer, tokens: list[int]) -> "Said":
        """Return it with an answer behind, which goes on in the last line."""
        return self._ending(tokenizer.decode([*tokenizer.encode(self.words[-1]), *tokens]))

    def _ending(self, words: str) -> "Said":
        # Whoever spells <image> in words shows none.
        return Said((*self.words[:-1], words.replace(PLACEHOLDER, "< image>")), self.images)


def talk(saved: Saved, max_tokens: int) -> None:
    """Answer the lines of standard input, each in at most `max_tokens`, until /quit or the input's end.

    Answers go to standard output, as their words come, each with a line break behind it. All else, and what is wrong
    with a line, goes to standard error, and the talk goes on as if that line had not been.
    """
    print(HELP, file=sys.stderr)
    said = Said()
    for line in _lines():
        if line == "/quit":
            return
        try:
            said = Said() if line == "/new" else _turn(saved, said, line, max_tokens)
        except WeftError as error:
            print(f"error: {message(error)}", file=sys.stderr)


def _turn(saved: Saved, said: Said, words: str, max_tokens: int) -> Said:
    """Answer a line; return what was said then. Raises: WeftError when nothing can be answered."""
    if image := _IMAGE.fullmatch(words):
        path, words = Path(image["quoted"] or image["bare"]), image["words"]
        pixels(path, saved)  # one that cannot be read is told of now, not when it is spoken of
        said = said.shown(path)
        if not words:
            return said
    elif words.startswith("/"):
        raise RecipeError(f"cannot do {words.split()[0]}; there are /image PATH, /new and /quit")
    elif not words and (said.words[-1] or not said.images):
        return said  # an empty line asks for words only where an image has just been shown
    said = said.told(words)
    try:
        tokens = tell(stream(saved, said.request, max_tokens))
    except RecipeError as error:
        raise RecipeError(f"{error}; /new begins anew") from error
    return said.answered(saved.tokenizer, tokens)


def _lines() -> Iterator[str]:
    """Yield the lines that are typed or piped, without spaces around; bytes that are no UTF-8 become U+FFFD."""
    typed = sys.stdin.isatty()
    while True:
        if typed:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.buffer.readline()
        if not line:
            return
        yield line.decode("utf-8", "replace").strip()
