"""Compare extracted texts and images with the truth."""

import re
from bisect import bisect_left
from collections import Counter
from urllib.parse import urlsplit


def text_f1(have: str, want: str) -> float:
    """Return the F1 of two texts as multisets of lower-case words; two empty texts agree."""
    a, b = (Counter(re.findall(r"\w+", text.lower())) for text in (have, want))
    if not a and not b:
        return 1.0
    return 2 * (a & b).total() / (a.total() + b.total())


def image_matches(have: list[str], want: list[list[str]]) -> list[int]:
    """Return for each extracted image the index of the expected one that it equals, -1 for none.

    Args: want holds for each image every address it may go by. Hosts and schemes do not count; each is taken once.
    """
    places: dict[str, list[int]] = {}
    for index, addresses in enumerate(want):
        for name in {_name(a) for a in addresses}:
            places.setdefault(name, []).append(index)
    taken: set[int] = set()
    matches = []
    for address in have:
        found = next((i for i in places.get(_name(address), []) if i not in taken), -1)
        taken.add(found)
        matches.append(found)
    return matches


def longest_rise(values: list[int]) -> int:
    """Return the length of the longest increasing subsequence: the number of images in the right order."""
    ends: list[int] = []
    for value in values:
        at = bisect_left(ends, value)
        ends[at : at + 1] = [value]
    return len(ends)


def image_scores(pages: list[tuple[list[str], list[list[str]]]]) -> dict[str, float]:
    """Score pages of (extracted, expected): precision and recall over images, F1 over pages, order over matches."""
    matches = [image_matches(have, want) for have, want in pages]
    hits = [[i for i in found if i >= 0] for found in matches]
    num_hits = sum(map(len, hits))
    several = [h for h in hits if len(h) > 1]
    f1 = [
        2 * len(h) / (len(have) + len(want)) if have or want else 1.0
        for h, (have, want) in zip(hits, pages, strict=True)
    ]
    return {
        "image_precision": num_hits / max(sum(len(have) for have, _ in pages), 1),
        "image_recall": num_hits / max(sum(len(want) for _, want in pages), 1),
        "image_f1": sum(f1) / max(len(f1), 1),
        "image_order": sum(map(longest_rise, several)) / max(sum(map(len, several)), 1),
    }


def _name(address: str) -> str:
    parts = urlsplit(address.strip())
    return parts.path.rsplit("/", 1)[-1] + (f"?{parts.query}" if parts.query else "")
