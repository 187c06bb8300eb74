"""Label the blocks of a page as main text, given its main text as annotated by people."""

import re
from collections import Counter
from itertools import islice

_WORD = re.compile(r"\w+")
_GRAM = 4  # words that must stand together for a longer block to count as found
_NEAR = 3  # neighbours that vouch for a shorter one


def tokens(text: str) -> list[str]:
    """Return the lower-case words of a text."""
    return _WORD.findall(text.lower())


def labels(texts: list[str], main_text: str) -> list[float]:
    """Return for each block the fraction of its words that are in the main text.

    A block of a few words ("Home") may stand there by chance: it counts when it follows or precedes the same words as
    on the page, and somewhat when it is a line of its own. What stands more often on the page than in the text counts
    as often as there.
    """
    wanted = tokens(main_text)
    grams = {tuple(wanted[i : i + _GRAM]) for i in range(len(wanted) - _GRAM + 1)}
    joined = f" {' '.join(wanted)} "
    lines = {" ".join(tokens(line)) for line in main_text.split("\n")}
    blocks = [tokens(text) for text in texts]
    found = [
        _long(block, grams) if len(block) > _GRAM else _short(number, blocks, joined, lines)
        for number, block in enumerate(blocks)
    ]
    times: Counter[str] = Counter()
    for number, block in enumerate(blocks):
        words = " ".join(block)
        if words and found[number] > 0.5:
            times[words] += 1
            if times[words] > 1 and joined.count(f" {words} ") < times[words]:
                found[number] = 0.0
    return found


def _long(block: list[str], grams: set[tuple[str, ...]]) -> float:
    hit = [False] * len(block)
    for start in range(len(block) - _GRAM + 1):
        if tuple(block[start : start + _GRAM]) in grams:
            hit[start : start + _GRAM] = [True] * _GRAM
    return sum(hit) / len(block)


def _short(number: int, blocks: list[list[str]], joined: str, lines: set[str]) -> float:
    words = " ".join(blocks[number])
    if not words or f" {words} " not in joined:
        return 0.0
    after = next((b for b in islice(blocks, number + 1, number + 1 + _NEAR) if b), [])[:3]
    before = next((b for b in reversed(blocks[max(number - _NEAR, 0) : number]) if b), [])[-3:]
    if (after and f" {words} {' '.join(after)} " in joined) or (before and f" {' '.join(before)} {words} " in joined):
        return 1.0
    return 0.7 if words in lines else 0.0
