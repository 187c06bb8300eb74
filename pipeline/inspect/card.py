"""The dataset card: Markdown for people, under the front matter for the Hugging Face Hub."""

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

MOST_CHARACTERS = 300  # of one stranger's word: longer ones are cut
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!$&])")
_LINK = re.compile(r"(://|@|\bwww\.)", re.IGNORECASE)  # what GitHub's Markdown takes for a link by itself


def plain(text: str) -> str:
    """Return text as one line of words, with every sign of markup escaped."""
    escaped = _MARKUP.sub(r"\\\1", _one_line(text))
    return _LINK.sub(lambda m: m[1].replace(":", "&#58;").replace("@", "&#64;").replace(".", "&#46;"), escaped)


def code(text: str) -> str:
    """Return text as a code span, whatever backticks it holds."""
    line = _one_line(text)
    fence = "`" * (_longest_run(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def block(text: str, language: str) -> str:
    """Return text as a fenced block of code, whatever backticks it holds."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already; a | in them does not end a cell."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)((?:\\\\)*)\|", r"\1\\|", text.replace("\n", " "))


def _one_line(text: str) -> str:
    cut = text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"
    return "".join(c if c.isprintable() else " " for c in cut)


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
    """Return the block with its fences."""
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


def consent(facts: Facts) -> str:
    """Say what sites could say, and how often they refused."""
    fetch, gates = facts.recipe.fetch, facts.recipe.extract.prefilter
    robots = f"honoured for every image. Images refused so: {facts.rejected('fetch', 'ROBOTS'):,}."
    answers = f"honoured. Images refused so: {facts.rejected('fetch', 'OPT_OUT'):,}."
    archived = (
        f"honoured. Pages refused so: {facts.rejected('extract', 'PAGE_OPT_OUT'):,}; images of pages that forbid "
        f"their images alone: {facts.rejected('extract', 'OPT_OUT'):,}."
    )
    lines = [
        "Pages come from archives: whether they could be captured was asked by those who made these.",
        f"robots.txt (RFC 9309), as {code(fetch.user_agent)}: {robots if fetch.robots_txt else '**not asked for**.'}",
        "Directives in the answer with an image, and tdmrep.json of its site: "
        + (f"{_list(fetch.directives)} {answers}" if fetch.directives else "**not honoured**."),
        "Directives of pages, in headers and meta elements, as archived: "
        + (f"{_list(gates.directives)} {archived}" if gates.directives else "**not honoured**."),
    ]
    if fetch.proxy:
        lines.append("Images were asked of a proxy; where that replayed archives, robots.txt is the archived one.")
    return "\n".join(f"- {line}" for line in lines)


def personal_data(recipe: Recipe) -> str:
    """Say what was replaced, and what was not."""
    kinds = {"e-mail addresses": recipe.redact.email, "public IP addresses": recipe.redact.ip,
             "phone numbers": recipe.redact.phone}  # fmt: skip
    on = [kind for kind, wanted in kinds.items() if wanted]
    off = [kind for kind, wanted in kinds.items() if not wanted]
    replaced = f"Placeholders stand for {_and(on)} in texts, alt texts and captions: those that look like one for sure."
    kept = f"Nothing looked for {_and(off)}: what pages show of them is here."
    faces = "Names, faces and whatever else pages and images show of people are as they were published."
    return " ".join([*([replaced] if on else []), *([kept] if off else []), faces])


def evaluation_sets(facts: Facts) -> str:
    """Say which evaluation sets were looked for, and what they took."""
    held = facts.recipe.decontaminate
    if not held.texts and not held.images:
        return "No evaluation set was looked for: its items may stand here."
    went = {rule: facts.rejected("dedup", f"CONTAMINATED_{rule}") for rule in ("PAGE", "TEXT", "CAPTION", "IMAGE")}
    lines = []
    if held.texts:
        lines.append(
            f"- Texts of {_list(held.texts)}: {went['PAGE']:,} pages, {went['TEXT']:,} paragraphs and "
            f"{went['CAPTION']:,} captions that share {held.ngram_words} words in a row with an item went."
        )
    if held.images:
        lines.append(
            f"- Images of {_list(held.images)}: {went['IMAGE']:,} images went, whose perceptual hash differs from "
            f"one of these in {held.max_image_distance} bits of 64 at most."
        )
    return "\n".join(lines)


def limits(facts: Facts) -> str:
    """List what a reader must not take the data for, as far as the recipe tells."""
    recipe = facts.recipe
    unsafe = recipe.score.max_unsafe_score is not None
    near = recipe.dedup.minhash.enabled or recipe.dedup.phash_distance is not None
    top = next(iter(facts.hosts.values()), 0)
    found = [
        "The texts and images belong to those who published them; nobody was asked for a license, and none was checked."
        if facts.license is None
        else f"The license was named by who made this card: {plain(facts.license)}. No page was checked for it.",
        "Languages are told by lid.176, from a page's text.",
        f"Images are JPEG of quality {recipe.decode.jpeg_quality}, {recipe.decode.max_side_pixels} pixels at the "
        "longer side at most; larger ones were scaled down.",
        "No page was read by a person. Texts and images may be wrong, biased or offensive.",
        f"A classifier of unsafe images was run, up to {recipe.score.max_unsafe_score:g}."
        if unsafe
        else "No classifier of unsafe images was run.",
        "Captions were scored by CLIP, whose own biases decide what stays."
        if recipe.clip.enabled and (recipe.score.min_caption_score is not None
                                    or recipe.score.max_caption_fraction is not None)
        else "No score decides whether a caption says what its image shows.",
        *([] if near else ["Equal texts and images were looked for as far as the recipe says; near duplicates stay."]),
        f"{len(facts.hosts):,} hosts; the largest holds {percent(top, facts.num_samples) or 'none'} of all samples.",
    ]  # fmt: skip
    return "\n".join(f"- {line}" for line in found)


def removal(recipe: Recipe) -> str:
    """Say whom to ask to have something removed, and what to name."""
    whom = f"write to {code(recipe.fetch.contact.removeprefix('mailto:'))}" if recipe.fetch.contact else (
        "ask whoever published this dataset: the run named no contact"
    )  # fmt: skip
    return (
        f"To have a page, an image or a whole site removed, {whom}, and name its address. Each sample holds the "
        f"address of its page ({code('url')}) and of its images ({code('image_url')}), so that it can be found."
    )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(code(name) for name in names)


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


MOST = 20  # of archives, shards, hosts and languages that are listed


def readme(facts: Facts) -> str:
    """Return the whole card."""
    sections = {
        "What it holds": _contents(facts),
        "How to load it": _loading(facts),
        "Where it comes from": _provenance(facts),
        "What was left out": _funnel(facts),
        "What sites said": consent(facts),
        "Personal data": personal_data(facts.recipe),
        "Evaluation sets": evaluation_sets(facts),
        "Known limits": limits(facts),
        "Removal": removal(facts.recipe),
        "Recipe": _recipe(facts),
        "Sums": _sums(facts),
    }
    about = "Image and text data for training multimodal models, made from web archives by Weft."
    told = "".join(f"\n\n## {title}\n\n{body}" for title, body in sections.items())
    return f"{front_matter(facts)}\n\n# {plain(facts.name)}\n\n{about}{told}\n"


def _contents(facts: Facts) -> str:
    rows = []
    for corpus in facts.corpora:
        for split in SPLITS:
            if shards := facts.of(corpus, split):
                sums = (sum(s[key] for s in shards) for key in ("num_samples", "num_images", "num_bytes"))
                rows.append([corpus, split, f"{len(shards):,}", *(f"{n:,}" for n in sums)])
    counts = table(("corpus", "split", "shards", "samples", "images", "bytes"), rows)
    held = "\n\nWhole hosts are held out as validation: none of them has a page in the train split."
    languages, hosts = (_commonest(counted) for counted in (facts.languages, facts.hosts))
    held *= any(s["split"] != TRAIN for s in facts.shards)
    return f"{counts}{held}\n\nSamples by language: {languages}. By host: {hosts}."


def _commonest(counts: dict[str, int]) -> str:
    more = len(counts) - MOST
    listed = ", ".join(f"{code(name)} {n:,}" for name, n in islice(counts.items(), MOST))
    return listed + (f" and {more:,} more" if more > 0 else "") or "none"


def _loading(facts: Facts) -> str:
    if not facts.corpora:
        return "There is nothing to load: every page was left out."
    corpus = next((c for c in facts.corpora if c != "interleaved"), facts.corpora[0])
    split = next(s for s in SPLITS if facts.of(corpus, s))
    pattern = tar_pattern(corpus, split, facts)
    return "\n\n".join(
        (
            "From the folder that holds this file:",
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
            f"text is {code('KEY.txt')} and {code('KEY.json')}. The JSON names page, host, capture and language.",
        )
    )


def _provenance(facts: Facts) -> str:
    first, last = facts.captured
    more = len(facts.archives) - MOST
    listed = [f"- {code(name)}" for name in facts.archives[:MOST]] + [f"- and {more:,} more"] * (more > 0)
    when = f"captured from {code(first)} to {code(last)}" if first else "of which none came through"
    return f"Pages of {len(facts.archives):,} archives, {when}:\n\n" + "\n".join(listed)


def _funnel(facts: Facts) -> str:
    steps = table(
        ("step", "of", "came in", "taken", "went on"),
        ([r["step"], r["things"], _count(r["in"]), f"{r['taken']:,}", _count(r["out"])] for r in facts.funnel),
    )
    rules = table(
        ("step", "rule", "what it takes", "bound", "took", "of what came in"),
        (
            [row["step"], code(rule["rule"]), plain(BY_CODE[rule["rule"]].meaning), _bound(rule["threshold"]),
             f"{rule['dropped']:,}", percent(rule["dropped"], row["in"] or 0)]
            for row in facts.funnel
            for rule in row["rules"]
        ),
    )  # fmt: skip
    return (
        f"{steps}\n\nWhat goes with its page or image, or is wanted by no corpus, is in no rule's count. A thing that "
        f"several rules speak against counts for each:\n\n{rules}"
    )


def _recipe(facts: Facts) -> str:
    values = facts.recipe.model_dump(mode="json")
    told = "Every choice of the run, as each step was made with it; of local files, the names."
    return f"{told}\n\n{block(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), 'yaml')}"


def _sums(facts: Facts) -> str:
    digests = table(("step", "digest of its manifest"), ([s, code(m.digest)] for s, m in facts.manifests.items()))
    rows = [[code(s["tar"]), f"{s['num_bytes']:,}", code(s["sha256"])] for s in facts.shards[:MOST]]
    more = len(facts.shards) - MOST
    tars = table(("tar", "bytes", "SHA-256"), rows) + (f"\n\nand {more:,} more" if more > 0 else "")
    return (
        f"{code(LISTING)} (SHA-256 {code(facts.listing_sha256)}) lists every shard with its sums.\n\n{tars}\n\n"
        f"{digests}\n\nShards are of format {VERSION}. This card was written by Weft {version('weft')}."
    )


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
