"""Corpora with planted near-duplicates: distinct passages, each with copies of increasing numbers of edits."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.extract_engines import kept, text_of
from pipeline.warc.responses import Response, read_archive

EDIT_RATES = (0.0, 0.01, 0.02, 0.05, 0.1)  # of words, one copy each
PASSAGE_WORDS = 225
MAX_SHARED = 0.1  # Jaccard similarity of two passages at most: 1 in 7 million such pairs agrees in a band
NGRAM = 5
WHEN = "2026-01-01T00:00:00Z"


def passages(archive: Path) -> list[list[str]]:
    """Split the main text of every page into passages, without near-duplicates of earlier ones."""
    extract = kept()
    texts = (text_of(extract, item) for item in read_archive(str(archive)) if isinstance(item, Response))
    found = []
    for words in map(str.split, texts):
        found += [words[at : at + PASSAGE_WORDS] for at in range(0, len(words) - PASSAGE_WORDS + 1, PASSAGE_WORDS)]
    return list(_unlike(found))


def drawn(count: int, vocabulary: list[str], random: np.random.Generator) -> list[list[str]]:
    """Draw passages of random words by the frequencies of the vocabulary: no two share more than a few shingles."""
    return [[vocabulary[i] for i in random.integers(0, len(vocabulary), PASSAGE_WORDS)] for _ in range(count)]


def invented(random: np.random.Generator) -> list[str]:
    """Generate a vocabulary for use without pages: 20,000 words, the n-th with frequency 1 / n."""
    letters = np.array(list("aeioubcdfghklmnprstvwyz"))
    words = ["".join(random.choice(letters, length)) for length in random.integers(2, 11, 20_000)]
    return [word for rank, word in enumerate(words, 1) for _ in range(1 + len(words) // (10 * rank))]


def planted(originals: list[list[str]], random: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Yield the id and text of each original (GROUP-o) and of its copies (GROUP-0, GROUP-1, ... by EDIT_RATES)."""
    for group, words in enumerate(originals):
        yield f"{group:07}-o", " ".join(words)
        for number, rate in enumerate(EDIT_RATES):
            yield f"{group:07}-{number}", " ".join(_edited(words, rate, originals, random))


def write(documents: Iterable[tuple[str, str]], folder: Path) -> int:
    """Write documents.parquet for Weft and documents/0.jsonl for the peer; return the number of documents."""
    (folder / "documents").mkdir(parents=True)
    ids, texts = zip(*documents, strict=True)
    columns = {"page_id": ids, "captured_at": [WHEN] * len(ids), "text": texts}
    pq.write_table(pa.table(columns), folder / "documents.parquet", row_group_size=5_000)
    with (folder / "documents" / "0.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": i, "text": text}) + "\n" for i, text in zip(ids, texts, strict=True))
    return len(ids)


def recall(cluster_of: dict[str, str], ids: Iterable[str]) -> tuple[list[float], int]:
    """Return the fraction of copies found per edit rate, and the number of documents joined to a wrong group.

    Args: cluster_of names the cluster of each document that is in one with others. Found is what is in its original's.
    """
    found, total, groups = Counter[str](), Counter[str](), defaultdict[str, Counter[str]](Counter)
    for i in ids:
        group, kind = i.split("-")
        total[kind] += 1
        cluster = cluster_of.get(i)
        if cluster is not None:
            groups[cluster][group] += 1
            found[kind] += cluster == cluster_of.get(f"{group}-o")
    strangers = sum(sum(members.values()) - max(members.values()) for members in groups.values())
    return [found[str(n)] / total[str(n)] for n in range(len(EDIT_RATES))], strangers


def _edited(words: list[str], rate: float, others: list[list[str]], random: np.random.Generator) -> list[str]:
    """Replace, remove or insert a fraction of the words, with equal probability; new words come from other passages."""
    edited = list(words)
    for place in sorted(random.choice(len(words), round(rate * len(words)), replace=False), reverse=True):
        other = others[random.integers(len(others))]
        new = [other[random.integers(len(other))]]
        edited[place : place + 1] = (new, [], [*new, edited[place]])[random.integers(3)]
    return edited


def _unlike(found: list[list[str]]) -> Iterator[list[str]]:
    """Yield the passages that are not similar to an earlier one, by the exact Jaccard similarity of their shingles."""
    having: dict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes: list[int] = []
    for words in found:
        folded = [word.strip(".,;:!?\"'()").lower() for word in words]
        mine = {tuple(folded[at : at + NGRAM]) for at in range(len(folded) - NGRAM + 1)}
        shared = Counter(number for shingle in mine for number in having[shingle])
        if all(common / (len(mine) + sizes[number] - common) <= MAX_SHARED for number, common in shared.items()):
            for shingle in mine:
                having[shingle].append(len(sizes))
            sizes.append(len(mine))
            yield words
