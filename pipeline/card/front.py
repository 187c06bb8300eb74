"""The YAML at the head of a card, by which Hugging Face's hub files it and `datasets` finds the shards."""

from typing import Any

import yaml

from pipeline.card.facts import SPLITS, Facts

_TASKS = {
    "interleaved": ["image-text-to-text"],
    "caption": ["image-to-text"],
    "text": ["text-generation"],
}
_SIZES = [(10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M"),
          (10**9, "1B"), (10**10, "10B"), (10**11, "100B"), (10**12, "1T")]  # fmt: skip


def front_matter(facts: Facts) -> str:
    """Return the block with its fences."""
    values: dict[str, Any] = {"pretty_name": facts.name, "license": facts.licence or "other"}
    if facts.licence is None:
        values["license_name"] = "unknown"
    values |= {
        "language": sorted(facts.languages),
        "size_categories": [size_category(facts.num_samples)],
        "task_categories": [task for corpus in facts.corpora for task in _TASKS[corpus]],
        "tags": ["webdataset", "croissant"],
        "configs": [{"config_name": corpus, "data_files": _data_files(facts, corpus)} for corpus in facts.corpora],
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---"


def size_category(num_samples: int) -> str:
    """Return the hub's name for a number of samples: n<1K, 1K<n<10K, ..."""
    below = [name for bound, name in _SIZES if num_samples >= bound]
    above = [name for bound, name in _SIZES if num_samples < bound]
    if not below:
        return f"n<{above[0]}"
    return f"{below[-1]}<n<{above[0]}" if above else f"n>{below[-1]}"


def tar_pattern(corpus: str, split: str, facts: Facts) -> str:
    """Return the glob, relative to the listing, that the tars of a corpus and split have in common."""
    folder = facts.of(corpus, split)[0]["tar"].rpartition("/")[0]
    return f"{folder}/{corpus}-*.tar"


def _data_files(facts: Facts, corpus: str) -> list[dict[str, str]]:
    return [{"split": split, "path": tar_pattern(corpus, split, facts)} for split in SPLITS if facts.of(corpus, split)]
