"""The dataset card: Markdown for people, under the front matter for the hub."""

from importlib.metadata import version
from itertools import islice

import yaml

from pipeline.card.facts import SPLITS, Facts
from pipeline.card.front import front_matter, tar_pattern
from pipeline.card.handling import consent, evaluation_sets, limits, personal_data, removal
from pipeline.markdown import block, code, plain, table
from schemas.display import percent
from schemas.reasons import BY_CODE
from schemas.shards import LISTING, TRAIN, VERSION

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
