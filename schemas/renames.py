"""Names of earlier releases that are still read: in recipes, on the command line, and in old outputs."""

import copy
import sys
from collections.abc import Iterable, Mapping
from typing import Any

RECIPE_KEYS = {  # a section comes before its keys, which are listed under its new name
    "extract.gates": "extract.prefilter",
    "extract.prefilter.need_image": "extract.prefilter.require_image",
    "filters.text.max_endless_words": "filters.text.max_very_long_words",
    "filters.paragraph.max_endless_words": "filters.paragraph.max_very_long_words",
    "fetch.shard_images": "fetch.commit_images",
    "decode.max_aspect": "decode.max_aspect_ratio",
    "dedup.near_text": "dedup.minhash",
    "dedup.image_distance": "dedup.phash_distance",
    "dedup.keep_lookalikes": "dedup.keep_near_duplicate_images",
    "dedup.max_lookalike_uses": "dedup.max_near_duplicate_uses",
    "guard": "drop_limits",
    "drop_limits.min_judged": "drop_limits.min_items",
}
REASONS = {
    "ASPECT": "ASPECT_RATIO",
    "CUT_LINES": "ELLIPSIS_LINES",
    "DIRECTIVE": "OPT_OUT",
    "ENDLESS_WORDS": "VERY_LONG_WORDS",
    "HASHES": "SYMBOL_RATIO",
    "LANGUAGE_UNSURE": "LOW_LANGUAGE_SCORE",
    "LITTLE_LEFT": "TOO_SHORT_AFTER_DEDUP",
    "LITTLE_TEXT": "TOO_LITTLE_TEXT",
    "LOOKALIKE_IMAGE": "NEAR_DUPLICATE_IMAGE",
    "NO_ADDRESS": "NO_URL",
    "PAGE_DIRECTIVE": "PAGE_OPT_OUT",
    "PARAGRAPH_CUT_LINES": "PARAGRAPH_ELLIPSIS_LINES",
    "PARAGRAPH_ENDLESS_WORDS": "PARAGRAPH_VERY_LONG_WORDS",
    "PARAGRAPH_HASHES": "PARAGRAPH_SYMBOL_RATIO",
    "REFUSED_ADDRESS": "PRIVATE_ADDRESS",
}
STATUSES: dict[Any, Any] = {"aspect": "aspect_ratio", "directive": "opt_out", "refused_address": "private_address"}
COLUMNS = {"license": "licence"}  # new to old: readers ask by the new name
TABLES = {"near_duplicate_images": "lookalikes"}
NOTES = {"guard": "drop_limits"}


def notice(source: str, names: Iterable[tuple[str, str]]) -> None:
    """Print one line to stderr with the former names that a source uses, if any."""
    if renamed := "; ".join(f"{old} is now {new}" for old, new in names):
        print(f"weft: {source}: {renamed}; the next release knows the new names only", file=sys.stderr)


def current_key(key: str) -> str:
    """Return the present name of a dotted recipe key."""
    for old, new in RECIPE_KEYS.items():
        if key == old or key.startswith(f"{old}."):
            key = new + key.removeprefix(old)
    section, _, rule = key.rpartition(".")
    return f"{section}.{REASONS.get(rule, rule)}" if section == "drop_limits.rules" else key


def current_recipe(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return a copy of recipe values with present keys and rules, and each former name with its present one.

    If both names are present, the values of the former one win, key by key.
    """
    result, found = copy.deepcopy(dict(values)), []
    for old, new in RECIPE_KEYS.items():
        *path, last = old.split(".")
        section = _section(result, path)
        if section is not None and last in section:
            value = section.pop(last)
            target, name = _section(result, new.split(".")[:-1]), new.rpartition(".")[2]
            assert target is not None, "a key moves within its section"
            both = isinstance(value, dict) and isinstance(target.get(name), dict)
            target[name] = {**target[name], **value} if both else value
            found.append((old, new))
    rules = _section(result, ["drop_limits", "rules"])
    for old in sorted(REASONS.keys() & (rules or {}).keys()):
        rules[REASONS[old]] = rules.pop(old)  # type: ignore[index, union-attr]
        found.append((old, REASONS[old]))
    return result, found


def current_counts(counts: Mapping[str, int], names: Mapping[str, str]) -> dict[str, int]:
    """Return counts by present names."""
    result: dict[str, int] = {}
    for name, count in counts.items():
        name = names.get(name, name)
        result[name] = result.get(name, 0) + count
    return result


def _section(values: dict[str, Any], path: list[str]) -> dict[str, Any] | None:
    for key in path:
        found = values.get(key)
        if not isinstance(found, dict):
            return None
        values = found
    return values
