"""Write the pages of `faults.yaml`: each breaks rules of published recipes, which its plan names."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from tests.sampleweb.prose import EnglishWriter

POOR_ALT = "Tile"  # one word, of so few characters that no recipe with a bound keeps it
ENDLESS = "4f2a9c" * 200  # characters without a space: a key, as pages print them by mistake


@dataclass(frozen=True)
class Sheet:
    """What a page says and breaks. `of_paragraphs` has a tuple of rules for each paragraph, `grown` is words or 0."""

    page: tuple[str, ...]
    paragraphs: tuple[str, ...]
    of_paragraphs: tuple[tuple[str, ...], ...]
    grown: int
    fate: str

    def written(self, words: EnglishWriter) -> tuple[str, ...]:
        """Return the paragraphs, their slots filled alike on the whole page."""
        filled = words.filled("\n".join(self.paragraphs).replace("{endless}", ENDLESS)).split("\n")
        return tuple(words.grown([text], self.grown) for text in filled)

    @property
    def faults(self) -> tuple[tuple[str, int | None], ...]:
        """The rules that it breaks, each with the number of the block that does, or None for the page."""
        of_paragraphs = [(f"PARAGRAPH_{rule}", i) for i, rules in enumerate(self.of_paragraphs) for rule in rules]
        return (*((rule, None) for rule in self.page), *of_paragraphs)


def of_images(blocks: list[int]) -> tuple[tuple[str, int | None], ...]:
    """Return what the images of a page break: all by their address, the last by its alt text, POOR_ALT."""
    return (*(("URL_TOKEN", i) for i in blocks), ("SHORT_CAPTION", blocks[-1]), ("FEW_CAPTION_CHARACTERS", blocks[-1]))


@cache
def sheets() -> dict[str, Sheet]:
    """Read every sheet, by its case."""
    book = yaml.safe_load(Path(__file__).with_name("faults.yaml").read_text(encoding="utf-8"))
    return {case: _sheet(**told) for case, told in book.items()}


def _sheet(paragraphs: list[str | list[str]], page: tuple[str, ...] = (), grown: int = 0, fate: str = "text") -> Sheet:
    told = [[p] if isinstance(p, str) else p for p in paragraphs]
    return Sheet(tuple(page), tuple(text for text, *_ in told), tuple(tuple(rules) for _, *rules in told), grown, fate)
