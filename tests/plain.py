"""The papers' measures of a text in a simple implementation, to compare with the filters."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property

# Han, Hiragana and Katakana: the scripts of the sample web that count by the character.
UNSPACED = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff"
LETTER = rf"[^\W_{UNSPACED}]"
TOKEN = rf"[{UNSPACED}]|\d+(?:[.,/:]\d+)+|['’]?{LETTER}+(?:[.,]{LETTER}+)*|\.\.+|[-–—]+|=+|\*+|_+|~+|\S"
ENDS, QUOTES, CLOSING = ".!?…。！？", "\"'”’»", "\"'”’»)]"


class Text:
    """A text, split into everything that is counted. Blank lines are not lines."""

    def __init__(self, text: str) -> None:
        self.text, self.lower, self.length = text, text.lower(), max(len(text), 1)

    @cached_property
    def num_words(self) -> int:
        return len(re.findall(rf"[{UNSPACED}]|[^\s{UNSPACED}]+", self.text))

    @cached_property
    def tokens(self) -> list[str]:
        """Words and punctuation marks."""
        return re.findall(TOKEN, self.text)

    @cached_property
    def words(self) -> list[str]:
        return [token for token in self.tokens if any(map(str.isalnum, token))]

    @cached_property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.text.split("\n") if line.strip()]

    @cached_property
    def paragraphs(self) -> list[str]:
        return [part.strip() for part in re.split(r"\n\s*\n", self.text) if part.strip()]

    def sentences(self) -> int:
        return len(re.findall(rf"[{ENDS}]+[{re.escape(CLOSING)}]*(?=\s|$)", self.text))

    def punctuation(self) -> float:
        """OBELICS: punctuation among words; texts of fewer than twelve tokens are not measured."""
        return part(is_mark, self.tokens) if len(self.tokens) >= 12 else 1

    def per_token(self, *signs: str) -> float:
        return sum(map(self.text.count, signs)) / max(len(self.tokens), 1)

    def mean_word(self) -> float:
        return sum(map(len, self.words)) / max(len(self.words), 1)


def part(is_one: Callable[[str], bool], pieces: Sequence[str]) -> float:
    """Return the fraction of the parts that are of a kind; 0 without parts."""
    return sum(map(is_one, pieces)) / max(len(pieces), 1)


def again(pieces: list[str]) -> list[str]:
    """Return the parts that occur earlier in the list."""
    return [piece for i, piece in enumerate(pieces) if piece in pieces[:i]]


def is_mark(token: str) -> bool:
    return all(unicodedata.category(sign)[0] == "P" for sign in token)


def is_special(sign: str) -> bool:
    """OBELICS: neither a letter nor a combining mark; white space is special."""
    return unicodedata.category(sign)[0] not in "LM"


def is_punctuated(line: str) -> bool:
    return line[-1] in QUOTES or line.rstrip(CLOSING).endswith(tuple(ENDS))


def top_gram(words: list[str], n: int) -> int:
    """Gopher: characters of the most frequent n-gram, the first of equals; none if none is repeated."""
    grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    gram, times = grams.most_common(1)[0] if grams else ("", 0)
    return len(gram) * times if times > 1 else 0


def duplicate_grams(words: list[str], n: int) -> int:
    """Gopher: characters of n-grams that occur earlier; a repeated n-gram is skipped as one."""
    seen, at, found = set(), 0, 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            found += sum(map(len, gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return found


def repeated_words(words: list[str]) -> float:
    """OBELICS: occurrences of 5-grams that occur more than once, as a fraction of all."""
    grams = Counter(tuple(words[i : i + 5]) for i in range(len(words) - 4))
    return sum(times for times in grams.values() if times > 1) / max(grams.total(), 1)


def repeated_characters(text: str) -> float:
    """OBELICS: occurrences of repeated 10-grams of characters, at most √(distinct ones) of them, as a fraction."""
    runs = Counter(text[i : i + 10] for i in range(len(text) - 9))
    return sum(times for _, times in runs.most_common(int(len(runs) ** 0.5)) if times > 1) / max(runs.total(), 1)
