"""Hand-made data of a report: every kind of number, samples of every corpus, and texts that attack the page."""

import base64
import io
from typing import Any

from PIL import Image

ATTACKS = (
    "</script><script>window.attacked = 1</script>",
    '<img src=x onerror="window.attacked = 1">',
    "<!--<script>",
    "a line\u2028another\u2029and \u202eright to left\u202c again\u0000",
    "javascript:alert(1)",
    "x" * 10_000,
    "{{data}} &lt;b&gt; \ud800 ${1}",
)
ADDRESSES = (
    "javascript:window.attacked=1",
    "JaVaScRiPt:window.attacked=1//https://example.com",
    "data:text/html,<script>window.attacked=1</script>",
    "https://example.com/\u202egpj.exe",
    'https://example.com/"onmouseover="window.attacked=1',
    "//example.com/no-scheme",
    "",
)
PROSE = (
    "The weaver sets the warp on the loom before the first thread of weft is thrown, and counts the ends twice. "
    "A mistake in the count shows only when the cloth is done, which is why the old ledgers give the number of ends "
    "for every piece that left the house, beside the names of the dyers and the days of the week."
)
CORPORA = ("interleaved", "caption", "text")


def thumb(number: int, side: int = 240, noisy: bool = False) -> str:
    """Make a JPEG thumbnail: a plain one of few bytes, or a noisy one of many."""
    small = Image.new("RGB", (4, 3))
    small.putdata(
        [((number * 37 + 60 * i) % 256, (number * 91 + 40 * i) % 256, (150 + 20 * i) % 256) for i in range(12)]
    )
    drawn = small.resize((side, side * 3 // 4), Image.Resampling.NEAREST if noisy else Image.Resampling.BICUBIC)
    if noisy:
        drawn = Image.blend(drawn, Image.effect_noise(drawn.size, 120).convert("RGB"), 0.5)
    held = io.BytesIO()
    drawn.save(held, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()


def report(num_samples: int = 6, noisy: bool = False, hostile: bool = False) -> dict[str, Any]:
    """Make the data of a report with `number` samples of each corpus."""
    thumbs = {f"t{i}": thumb(i, noisy=noisy) for i in range(max(8, num_samples * 3 if noisy else 8))}
    samples = [_sample(corpus, i, len(thumbs)) for corpus in CORPORA for i in range(num_samples)]
    made = {
        "title": "autumn-crawl",
        "warnings": _WARNINGS,
        "recipe": _RECIPE,
        "totals": {**_TOTALS, "seconds": sum(_SECONDS.values())},
        "steps": _STEPS,
        "funnel": _funnel(),
        "corpora": {name: _corpus(i) for i, name in enumerate(CORPORA)},
        "spreads": _spreads(),
        "shares": _shares(),
        "clusters": [_cluster(i) for i in range(25)],
        "shards": _shards(),
        "samples": samples,
        "thumbs": thumbs,
    }
    if hostile:
        _poison(made)
    return made


def _sample(corpus: str, i: int, num_thumbs: int) -> dict[str, Any]:
    host = f"host{i % 4}.example.com"
    texts = [{"kind": "text", "text": f"{PROSE} Paragraph {n} of {corpus} {i}."} for n in range(1, 4)]
    images = [_image(corpus, i, n, num_thumbs) for n in range({"interleaved": 2, "caption": 1, "text": 0}[corpus])]
    blocks = {"interleaved": [texts[0], *images[:1], *texts[1:], *images[1:]], "caption": images, "text": texts}[corpus]
    return {
        "key": f"{corpus[0]}{i:015x}",
        "corpus": corpus,
        "split": "validation" if i % 5 == 4 else "train",
        "url": f"https://{host}/{corpus}/{i}",
        "host": host,
        "language": ("en", "de")[i % 2],
        "title": f"On the loom, part {i}" if corpus != "caption" else "",
        "num_words": 60 * len(texts),
        "captured_at": "2026-01-02T03:04:05Z",
        "blocks": blocks,
    }


def _image(corpus: str, i: int, n: int, num_thumbs: int) -> dict[str, Any]:
    return {
        "kind": "image",
        "image": f"t{(3 * i + n) % num_thumbs}",
        "alt": f"A loom with {i} shafts",
        "caption": f"A weaver at loom {i}" if corpus == "caption" else "",
        "score": 0.2 + 0.01 * i,
        "width": 640,
        "height": 480,
        "url": f"https://images.example.com/{i}/{n}.jpg",
    }


_WARNINGS = [
    {
        "step": "fetch",
        "text": "only 3 of 300 images are kept (1.0 %)",
        "remedy": "`weft fetch --output OUT --retry dns`",
    },
    {"step": "shard", "text": "not finished: shard", "remedy": "the same `weft run` continues from there"},
]
_TOTALS = {"archives": 12, "pages": 48_210, "images": 131_402, "samples": 21_877, "bytes": 8_412_345_678}
_SECONDS = {"extract": 1510.2, "filter": 210.0, "fetch": 2411.9, "dedup": 95.4, "score": 640.0, "assemble": 88.0}
_STEPS = [
    {"step": step, "seconds": seconds, "counts": {"rows": 1000}, "notes": {"engine": "blocks"}}
    for step, seconds in _SECONDS.items()
]
_RECIPE = {
    "name": "kosmos1",
    "seed": 7,
    "extract": {"engine": "blocks", "prefilter": {"languages": ["en", "de"], "min_words": 20}},
    "filters": {"text": {"min_words": 50, "max_hashes_per_word": 0.1}, "caption": {"min_words": 3}},
    "clip": {"min_score": None},
}
_QUANTILES = {"0.05": 40.0, "0.25": 110.0, "0.5": 260.0, "0.75": 610.0, "0.95": 2400.0}


def _rule(
    name: str, meaning: str, dropped: int, alone: int, median: Any = "", bound: Any = "", image: bool = False
) -> Any:
    examples = [
        {
            "url": f"https://host{i}.example.com/page",
            "text": "" if image and i else PROSE[: 60 + 90 * i],
            "image": f"t{i}" if image else "",
            "measure": median,
            "threshold": bound,
            "detail": "seen 3 times" if i == 1 else "",
        }
        for i in range(4)
    ]
    told = {"rule": name, "meaning": meaning, "dropped": dropped, "alone": alone, "median": median, "threshold": bound}
    return {**told, "examples": examples}


def _stage(step: str, things: str, came: int, taken: int, before: int, *rules: dict[str, Any]) -> dict[str, Any]:
    out = came - taken if came >= 0 else -1
    return {"step": step, "things": things, "in": came, "taken": taken, "out": out, "before": before, "rules": rules}


def _funnel() -> list[dict[str, Any]]:
    no_image = _rule("NO_IMAGE", "a page without any image", 8_120, 6_011)
    language = _rule("WRONG_LANGUAGE", "not in extract.prefilter.languages", 6_970, 4_870)
    name = _rule("FILE_NAME_CAPTION", "the text of an image is the name of a file", 4_310, 4_310)
    short = _rule("TOO_SHORT", "fewer words than filters.text.min_words", 9_800, 5_400, 21, 50)
    unsure = _rule("LOW_LANGUAGE_SCORE", "language score below filters.language.min_score", 7_150, 3_900, 0.41, 0.65)
    bullets = _rule("BULLETS", "bullets above filters.text.max_bullet_line_fraction", 310, 12, 0.962, 0.9)
    token = _rule("URL_TOKEN", "its address holds one of filters.image.url_tokens", 21_000, 21_000, image=True)
    small = _rule("TOO_SMALL", "a side below filters.image.min_side_pixels", 20_700, 20_700, 64, 150, image=True)
    status = _rule("HTTP_STATUS", "an answer other than 200", 11_200, 11_200, 404)
    alike = _rule("NEAR_DUPLICATE", "its text is nearly another's", 3_310, 3_310, 0.93, 0.8)
    left = _rule("NO_GOOD_IMAGE", "no image is left", 5_623, 5_623)
    return [
        _stage("extract", "pages", 61_300, 13_090, -1, no_image, language),
        _stage("extract", "captions", -1, 4_310, -1, name),
        _stage("filter", "pages", 48_210, 17_400, 0, short, unsure, bullets),
        _stage("filter", "images", 131_402, 21_000, 0, token),
        _stage("fetch", "images", 98_000, 31_900, 12_402, small, status),
        _stage("dedup", "pages", 30_810, 3_310, 0, alike),
        _stage("assemble", "pages", 27_500, 5_623, 0, left),
    ]


def _corpus(i: int) -> dict[str, Any]:
    return {
        "shards": 8 - i,
        "samples": 9_000 - 900 * i,
        "images": 18_000 * (i < 2),
        "bytes": 3_100_000_000 // (i + 1),
        "held_out": 90,
        "words": 4_100_000,
        "tokens": 5_600_000,
        "words_a_sample": _QUANTILES,
        "num_hosts": 410,
        "num_languages": 2,
        "clip_score": {"0.5": 0.2713} if i < 2 else {},
    }


def _spreads() -> list[dict[str, Any]]:
    heights = (4, 11, 40, 95, 180, 240, 210, 150, 80, 31, 12, 3)
    logs = [{"from": 10 * 1.8**i, "to": 10 * 1.8 ** (i + 1), "count": 31 * h} for i, h in enumerate(heights)]
    plain = [{"from": 0.1 + 0.03 * i, "to": 0.13 + 0.03 * i, "count": 17 * h} for i, h in enumerate(heights)]
    words = {"name": "words", "title": "Words of a sample", "unit": "words", "scale": "log", "quantiles": _QUANTILES}
    score = {"name": "score", "title": "CLIP score of an image", "unit": "score", "scale": "linear"}
    sizes = {"name": "bytes", "title": "Bytes of an image", "unit": "bytes", "scale": "log", "quantiles": _QUANTILES}
    return [
        *({**words, "of": corpus, "bins": logs} for corpus in CORPORA),
        *({**score, "of": corpus, "bins": plain, "quantiles": {"0.5": 0.27}} for corpus in CORPORA[:2]),
        {**sizes, "of": "images", "bins": [{"from": 0, "to": 10, "count": 77}, *logs]},
    ]


def _share(title: str, of: str, counts: dict[str, int], others: int = 0, num_others: int = 0) -> dict[str, Any]:
    values = [{"value": value, "count": count} for value, count in counts.items()]
    told = {"name": title.lower(), "title": title, "of": of, "total": sum(counts.values()) + others, "values": values}
    return {**told, "others": others, "num_values": len(values) + num_others}


def _shares() -> list[dict[str, Any]]:
    return [
        _share("Languages", "pages", {"en": 26_110, "de": 4_700}),
        _share("Hosts", "pages", {f"host{i}.example.com": 900 - 50 * i for i in range(15)}, 22_560, 1_405),
        _share("Image status", "images", {"OK": 66_100, "TOO_SMALL": 20_700, "HTTP_STATUS": 11_200}),
        _share("Licenses", "pages", {"": 30_000, "CC BY 4.0": 810}),
    ]


def _cluster(i: int) -> dict[str, Any]:
    images = i % 3 == 0
    content = {"text": "" if images else PROSE[:200], "image": f"t{i % 8}" if images else ""}
    member = {"id": f"p{i}", "url": f"https://host{i}.example.com/a", **content}
    return {
        "kind": "images" if images else "pages",
        "rule": "LOOKALIKE" if images else "NEAR_DUPLICATE",
        "size": 60 - i,
        "survivor": member,
        "members": [{**member, "id": f"p{i}.{n}"} for n in range(3)],
    }


def _shards() -> list[dict[str, Any]]:
    of_train = [(corpus, "train", f"{corpus}/{corpus}-{i:05}.tar", i) for corpus in CORPORA for i in range(8)]
    return [
        {
            "corpus": corpus,
            "split": split,
            "tar": tar,
            "num_samples": 1000 - 7 * i,
            "num_images": 2000 if corpus != "text" else 0,
            "num_bytes": 390_000_000 - 31_000_000 * (i % 3) - (200_000_000 if i == 7 else 0),
        }
        for corpus, split, tar, i in [*of_train, ("text", "validation", "validation/text-00000.tar", 0)]
    ]


def _poison(made: dict[str, Any]) -> None:
    """Put each attack into a text field, and each URL into a URL field."""
    made["title"] = ATTACKS[0]
    made["warnings"] = [{"step": "fetch", "text": attack, "remedy": attack} for attack in ATTACKS]
    made["recipe"] = {ATTACKS[1]: {ATTACKS[0]: ATTACKS[2]}, "list": list(ATTACKS)}
    for i, sample in enumerate(made["samples"]):
        attack, address = ATTACKS[i % len(ATTACKS)], ADDRESSES[i % len(ADDRESSES)]
        sample.update(title=attack, host=attack, url=address, language=attack[:40])
        for block in sample["blocks"]:
            block.update(
                {"text": attack}
                if block["kind"] == "text"
                else {"alt": attack, "caption": attack + "!", "url": address}
            )
    for row in made["funnel"]:
        for rule in row["rules"]:
            for i, item in enumerate(rule["examples"]):
                item.update(text=ATTACKS[i], detail=ATTACKS[-1 - i], url=ADDRESSES[i])
    for i, cluster in enumerate(made["clusters"]):
        cluster["survivor"].update(text=ATTACKS[i % len(ATTACKS)], url=ADDRESSES[i % len(ADDRESSES)], image="__proto__")
    for told in made["shares"]:
        told["values"] = [{"value": attack, "count": 9 - i} for i, attack in enumerate(ATTACKS)]
    made["shards"][0]["tar"] = ATTACKS[1]
    made["thumbs"]["t1"] = 'javascript:window.attacked=1"'
    made["thumbs"]["t2"] = "https://example.com/tracker.gif"
