"""Measure the identification of English on labelled sentences, at the threshold of recipe `kosmos1`."""

import tarfile
from pathlib import Path

from jobs.recipes import load
from pipeline.html.prefilter import identify

WANTED = "en"


def english(archive: Path) -> dict[str, float]:
    """Measure on files with one sentence per line, named by ISO 639 code.

    Returns: `recall`, the fraction of English sentences that the recipe keeps; `refusal`, that of the others which it
    does not; and their mean, `accuracy`, in which the one English file weighs as much as all others together.
    """
    bound = load("kosmos1").filters.language.min_score
    kept: dict[bool, list[bool]] = {True: [], False: []}
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            for line in file.read().decode("utf-8").splitlines():
                language, score = identify(line)
                kept[Path(member.name).stem == WANTED].append(language == WANTED and score >= bound)
    recall, refusal = sum(kept[True]) / len(kept[True]), 1 - sum(kept[False]) / len(kept[False])
    return {"recall": recall, "refusal": refusal, "accuracy": (recall + refusal) / 2}
