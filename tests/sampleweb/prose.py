"""Write the text of a page: sentences from `prose.yaml` (English) or `languages.yaml`, none of them twice on a page."""

import random
import re
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.sampleweb import captions
from tests.sampleweb.scenes import Scene, Thing

FOREIGN = ("de", "fr", "es", "ru", "zh", "ja")
MIN_PARAGRAPH_WORDS = 25


class Writer(Protocol):
    """Writes one page in one language."""

    def title(self) -> str:
        """Return the page's heading."""

    def paragraph(self) -> str:
        """Return a paragraph about the page's theme; English ones have at least 25 words."""

    def description(self, scene: Scene) -> str:
        """Return a paragraph that first of all describes the scene."""

    def label(self, scene: Scene) -> str:
        """Return a short description, as an alt text holds."""


@cache
def _read(name: str) -> dict[str, Any]:
    words: dict[str, Any] = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return words


class EnglishWriter:
    """Writes about one of the themes of `prose.yaml`, chosen by the random generator."""

    def __init__(self, rng: random.Random) -> None:
        book = _read("prose.yaml")
        self.rng, self.words, self.short_sentences = rng, book["words"], book["short"]
        theme = book["themes"][rng.choice(sorted(book["themes"]))]
        self.titles, self.carriers = theme["titles"], theme["carrier"]
        self.unused = [*theme["sentences"], *book["shared"]]
        rng.shuffle(self.unused)
        self.reserve = [s for other in book["themes"].values() if other is not theme for s in other["sentences"]]

    def title(self) -> str:
        return self.filled(self.rng.choice(self.titles))

    def paragraph(self) -> str:
        return self.grown([self._sentence(), self._sentence()])

    def description(self, scene: Scene) -> str:
        return self.grown(captions.sentences(scene, self.rng, self.rng.choice(self.carriers)))

    def label(self, scene: Scene) -> str:
        return captions.phrasing(scene, self.rng)

    def remark(self) -> str:
        """Return one sentence of under eight words."""
        return self.filled(self.rng.choice(self.short_sentences))

    def grown(self, sentences: list[str], min_words: int = MIN_PARAGRAPH_WORDS + 5) -> str:
        """Join the sentences, with more of them until the paragraph is long enough."""
        while len(" ".join(sentences).split()) < min_words:
            sentences.append(self._sentence())
        return " ".join(sentences)

    def _sentence(self) -> str:
        """Return a sentence of the page's theme; where they are used up, one of another theme."""
        return self.filled((self.unused or self.reserve).pop())

    def filled(self, template: str) -> str:
        """Fill the slots; {person_2} differs from {person}."""
        chosen: dict[str, str] = {}
        for slot in re.findall(r"{(\w+)}", template):
            free = [word for word in self.words[slot.removesuffix("_2")] if word not in chosen.values()]
            chosen[slot] = self.rng.choice(free)
        filled = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", template.format(**chosen))
        return filled[0].upper() + filled[1:]


class ForeignWriter:
    """Writes in one of the languages of `languages.yaml`; every page stays on the theme of a museum."""

    def __init__(self, language: str, rng: random.Random) -> None:
        self.words, self.rng = _read("languages.yaml")[language], rng
        self.joint = "" if language in ("zh", "ja") else " "
        self.unused = list(self.words["sentences"])
        rng.shuffle(self.unused)

    def title(self) -> str:
        return str(self.words["title"].format(n=self.rng.randint(2, 900)))

    def paragraph(self) -> str:
        return self.joint.join(self.unused.pop() for _ in range(3))

    def description(self, scene: Scene) -> str:
        return self.joint.join((self.words["show"].format(scene=self.label(scene)), self.unused.pop()))

    def label(self, scene: Scene) -> str:
        names = [self._name(thing) for thing in scene.things]
        shown = names[0] if len(names) == 1 else self.words[scene.relation].format(first=names[0], second=names[1])
        return str(self.words["ground"].format(things=shown, colour=self.words["colours"][scene.background]))

    def _name(self, thing: Thing) -> str:
        shape, colour = self.words["shapes"][thing.shape], self.words["colours"][thing.colour]
        name = str(self.words["thing"].format(shape=shape, colour=colour))
        return name if thing.num_copies == 1 else self.words["several"].format(number=thing.num_copies, thing=name)


def writer(language: str, rng: random.Random) -> EnglishWriter | ForeignWriter:
    """Return a writer for one page in 'en' or one of FOREIGN."""
    return EnglishWriter(rng) if language == "en" else ForeignWriter(language, rng)
