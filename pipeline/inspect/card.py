"""The dataset card: Markdown with front matter for the Hugging Face Hub."""

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import islice
from typing import Any

import yaml

from pipeline.inspect.facts import SPLITS, Facts
from schemas.display import percent
from schemas.reasons import BY_CODE
from schemas.recipe import Recipe
from schemas.shards import LISTING, TRAIN, VERSION

MAX_CHARACTERS = 300  # of an untrusted string, which is truncated
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!$&])")
_LINK = re.compile(r"(://|@|\bwww\.)", re.IGNORECASE)  # GitHub's Markdown makes links of these


def plain(text: str) -> str:
    """Return text as one line with all markup escaped."""
    escaped = _MARKUP.sub(r"\\\1", _one_line(text))
    return _LINK.sub(lambda m: m[1].replace(":", "&#58;").replace("@", "&#64;").replace(".", "&#46;"), escaped)


def code(text: str) -> str:
    """Return text as a code span, also if it contains backticks."""
    line = _one_line(text)
    fence = "`" * (_longest_run(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def block(text: str, language: str) -> str:
    """Return text as a fenced code block, also if it contains backticks."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown cells, with | in them escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)((?:\\\\)*)\|", r"\1\\|", text.replace("\n", " "))


def _one_line(text: str) -> str:
    shown = text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + "…"
    return "".join(c if c.isprintable() else " " for c in shown)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


_TASKS = {
    "interleaved": ["image-text-to-text"],
    "caption": ["image-to-text"],
    "text": ["text-generation"],
}
_SIZES = [(10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M"),
          (10**9, "1B"), (10**10, "10B"), (10**11, "100B"), (10**12, "1T")]  # fmt: skip


def front_matter(facts: Facts) -> str:
    """Return the YAML front matter for the Hugging Face Hub, with its fences."""
    values: dict[str, Any] = {"pretty_name": facts.name, "license": facts.license or "other"}
    if facts.license is None:
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
    """Return the hub's name of the size category: n<1K, 1K<n<10K, ..."""
    below = [name for bound, name in _SIZES if num_samples >= bound]
    above = [name for bound, name in _SIZES if num_samples < bound]
    if not below:
        return f"n<{above[0]}"
    return f"{below[-1]}<n<{above[0]}" if above else f"n>{below[-1]}"


def tar_pattern(corpus: str, split: str, facts: Facts) -> str:
    """Return the glob of the tars of a corpus and split, relative to the listing."""
    folder = facts.of(corpus, split)[0]["tar"].rpartition("/")[0]
    return f"{folder}/{corpus}-*.tar"


def _data_files(facts: Facts, corpus: str) -> list[dict[str, str]]:
    return [{"split": split, "path": tar_pattern(corpus, split, facts)} for split in SPLITS if facts.of(corpus, split)]


def consent(facts: Facts) -> str:
    """Describe the opt-out signals that were respected, and how often they applied."""
    fetch, gates = facts.recipe.fetch, facts.recipe.extract.prefilter
    robots = f"respected for every image. Dropped images: {facts.rejected('fetch', 'ROBOTS'):,}."
    responses = f"respected. Dropped images: {facts.rejected('fetch', 'OPT_OUT'):,}."
    archived = (
        f"respected. Dropped pages: {facts.rejected('extract', 'PAGE_OPT_OUT'):,}; dropped images of pages that only "
        f"forbid their images: {facts.rejected('extract', 'OPT_OUT'):,}."
    )
    lines = [
        "Pages come from archives; whether they may be captured was checked by the archives' crawlers.",
        f"robots.txt (RFC 9309), as {code(fetch.user_agent)}: {robots if fetch.robots_txt else '**not requested**.'}",
        "Directives in responses with images, and tdmrep.json of their sites: "
        + (f"{_list(fetch.directives)} {responses}" if fetch.directives else "**not respected**."),
        "Directives of pages, in archived headers and meta elements: "
        + (f"{_list(gates.directives)} {archived}" if gates.directives else "**not respected**."),
    ]
    if fetch.proxy:
        lines.append("Images were requested from a proxy; if it replayed archives, robots.txt is the archived one.")
    return "\n".join(f"- {line}" for line in lines)


def personal_data(recipe: Recipe) -> str:
    """Describe which personal data was replaced."""
    kinds = {"e-mail addresses": recipe.redact.email, "public IP addresses": recipe.redact.ip,
             "phone numbers": recipe.redact.phone}  # fmt: skip
    on = [kind for kind, is_redacted in kinds.items() if is_redacted]
    off = [kind for kind, is_redacted in kinds.items() if not is_redacted]
    replaced = (
        f"Placeholders replace {_and(on)} in texts, alt texts and captions, if they are recognized with certainty."
    )
    kept = f"Not searched for, and kept: {_and(off)}."
    faces = "Names, faces and other personal data in pages and images are kept as published."
    return " ".join([*([replaced] if on else []), *([kept] if off else []), faces])


def evaluation_sets(facts: Facts) -> str:
    """Describe which evaluation sets were removed, with counts."""
    config = facts.recipe.decontaminate
    if not config.texts and not config.images:
        return "No evaluation sets were removed: the data may contain their items."
    dropped = {rule: facts.rejected("dedup", f"CONTAMINATED_{rule}") for rule in ("PAGE", "TEXT", "CAPTION", "IMAGE")}
    lines = []
    if config.texts:
        lines.append(
            f"- Texts of {_list(config.texts)}: {dropped['PAGE']:,} pages, {dropped['TEXT']:,} paragraphs and "
            f"{dropped['CAPTION']:,} captions that share {config.ngram_words} consecutive words with an item were "
            "dropped."
        )
    if config.images:
        lines.append(
            f"- Images of {_list(config.images)}: {dropped['IMAGE']:,} images whose perceptual hash differs from one "
            f"of these in at most {config.max_image_distance} of 64 bits were dropped."
        )
    return "\n".join(lines)


def limits(facts: Facts) -> str:
    """List the known limitations of the data, by the recipe."""
    recipe = facts.recipe
    unsafe = recipe.score.max_unsafe_score is not None
    near = recipe.dedup.minhash.enabled or recipe.dedup.phash_distance is not None
    top = next(iter(facts.hosts.values()), 0)
    lines = [
        "The texts and images belong to their publishers; no license was requested or checked."
        if facts.license is None
        else f"The author of this card declared the license: {plain(facts.license)}. Pages were not checked for it.",
        "Languages are identified by lid.176 from a page's text.",
        f"Images are JPEG with quality {recipe.decode.jpeg_quality} and at most {recipe.decode.max_side_pixels} pixels "
        "on the longer side; larger ones were scaled down.",
        "No page was reviewed by a person. Texts and images may be wrong, biased or offensive.",
        f"Images with an unsafe score above {recipe.score.max_unsafe_score:g} were dropped."
        if unsafe
        else "Images were not classified as safe or unsafe.",
        "Captions were filtered by CLIP scores, which have biases."
        if recipe.clip.enabled and (recipe.score.min_caption_score is not None
                                    or recipe.score.max_caption_fraction is not None)
        else "Captions were not filtered by similarity to their images.",
        *([] if near else ["Near-duplicates are kept; the recipe only defines how exact duplicates are removed."]),
        f"{len(facts.hosts):,} hosts; the largest has {percent(top, facts.num_samples) or 'none'} of all samples.",
    ]  # fmt: skip
    return "\n".join(f"- {line}" for line in lines)


def removal(recipe: Recipe) -> str:
    """Explain how to request the removal of data."""
    whom = f"write to {code(recipe.fetch.contact.removeprefix('mailto:'))}" if recipe.fetch.contact else (
        "contact the publisher of this dataset (the run had no contact)"
    )  # fmt: skip
    return (
        f"To request the removal of a page, an image or a site, {whom} with its URL. Each sample has the URL of its "
        f"page ({code('url')}) and of its images ({code('image_url')})."
    )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(code(name) for name in names)


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


MOST = 20  # archives, shards, hosts and languages to list


def readme(facts: Facts) -> str:
    """Return the complete card."""
    sections = {
        "Contents": _contents(facts),
        "Loading": _loading(facts),
        "Sources": _provenance(facts),
        "Filtering": _funnel(facts),
        "Opt-out signals": consent(facts),
        "Personal data": personal_data(facts.recipe),
        "Evaluation sets": evaluation_sets(facts),
        "Limitations": limits(facts),
        "Removal": removal(facts.recipe),
        "Recipe": _recipe(facts),
        "Checksums": _sums(facts),
    }
    about = "Image and text data for training multimodal models, made from web archives by Weft."
    body = "".join(f"\n\n## {title}\n\n{text}" for title, text in sections.items())
    return f"{front_matter(facts)}\n\n# {plain(facts.name)}\n\n{about}{body}\n"


def _contents(facts: Facts) -> str:
    rows = []
    for corpus in facts.corpora:
        for split in SPLITS:
            if shards := facts.of(corpus, split):
                sums = (sum(s[key] for s in shards) for key in ("num_samples", "num_images", "num_bytes"))
                rows.append([corpus, split, f"{len(shards):,}", *(f"{n:,}" for n in sums)])
    counts = table(("corpus", "split", "shards", "samples", "images", "bytes"), rows)
    held = "\n\nThe validation split holds out hosts: none of them has a page in the train split."
    languages, hosts = (_most_common(counted) for counted in (facts.languages, facts.hosts))
    held *= any(s["split"] != TRAIN for s in facts.shards)
    return f"{counts}{held}\n\nSamples by language: {languages}. By host: {hosts}."


def _most_common(counts: dict[str, int]) -> str:
    more = len(counts) - MOST
    listed = ", ".join(f"{code(name)} {n:,}" for name, n in islice(counts.items(), MOST))
    return listed + (f" and {more:,} more" if more > 0 else "") or "none"


def _loading(facts: Facts) -> str:
    if not facts.corpora:
        return "There is nothing to load: all pages were dropped."
    corpus = next((c for c in facts.corpora if c != "interleaved"), facts.corpora[0])
    split = next(s for s in SPLITS if facts.of(corpus, s))
    pattern = tar_pattern(corpus, split, facts)
    return "\n\n".join(
        (
            "From the folder of this file:",
            block(
                "from pathlib import Path\n\nfrom datasets import load_dataset\n\n"
                f'samples = load_dataset(str(Path.cwd()), "{corpus}", split="{split}")\n'
                'print(samples[0]["json"]["url"])',
                "python",
            ),
            block(
                "from glob import glob\n\nfrom webdataset import WebDataset\n\n"
                f'samples = WebDataset(sorted(glob("{pattern}")), shardshuffle=False).decode("pil")\n'
                'print(next(iter(samples))["json"]["url"])',
                "python",
            ),
            f"An interleaved sample is {code('KEY.json')} with its blocks in reading order and {code('KEY.0.jpg')}, "
            f"{code('KEY.1.jpg')}, ...; a caption is {code('KEY.jpg')}, {code('KEY.txt')} and {code('KEY.json')}; a "
            f"text is {code('KEY.txt')} and {code('KEY.json')}. The JSON has page, host, capture time and language.",
        )
    )


def _provenance(facts: Facts) -> str:
    first, last = facts.captured
    more = len(facts.archives) - MOST
    listed = [f"- {code(name)}" for name in facts.archives[:MOST]] + [f"- and {more:,} more"] * (more > 0)
    when = f"captured from {code(first)} to {code(last)}" if first else "all of which were dropped"
    return f"Pages of {len(facts.archives):,} archives, {when}:\n\n" + "\n".join(listed)


def _funnel(facts: Facts) -> str:
    steps = table(
        ("step", "items", "input", "dropped", "kept"),
        ([r["step"], r["things"], _count(r["in"]), f"{r['taken']:,}", _count(r["out"])] for r in facts.funnel),
    )
    rules = table(
        ("step", "rule", "meaning", "threshold", "dropped", "of input"),
        (
            [row["step"], code(rule["rule"]), plain(BY_CODE[rule["rule"]].meaning), _bound(rule["threshold"]),
             f"{rule['dropped']:,}", percent(rule["dropped"], row["in"] or 0)]
            for row in facts.funnel
            for rule in row["rules"]
        ),
    )  # fmt: skip
    return (
        f"{steps}\n\nItems that are dropped with their page or image, or belong to no corpus, are not counted for any "
        f"rule. An item dropped by several rules is counted for each:\n\n{rules}"
    )


def _recipe(facts: Facts) -> str:
    values = facts.recipe.model_dump(mode="json")
    intro = "All settings of the run, as used by each step; local paths are reduced to file names."
    return f"{intro}\n\n{block(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), 'yaml')}"


def _sums(facts: Facts) -> str:
    digests = table(("step", "digest of its manifest"), ([s, code(m.digest)] for s, m in facts.manifests.items()))
    rows = [[code(s["tar"]), f"{s['num_bytes']:,}", code(s["sha256"])] for s in facts.shards[:MOST]]
    more = len(facts.shards) - MOST
    tars = table(("tar", "bytes", "SHA-256"), rows) + (f"\n\nand {more:,} more" if more > 0 else "")
    return (
        f"{code(LISTING)} (SHA-256 {code(facts.listing_sha256)}) lists all shards with their checksums.\n\n{tars}\n\n"
        f"{digests}\n\nThe shards have format version {VERSION}. This card was written by Weft {version('weft')}."
    )


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
