"""Measure extraction against floors that only rise: `python -m benchmarks.gate [DATA] [--set-floors]`.

The sample web is measured always; sets of real pages where DATA holds them. Exit status 1 when a floor is missed.
"""

import argparse
import gzip
import json
import logging
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks import floors
from benchmarks.charset_truth import decoded_fraction
from benchmarks.language_truth import english
from benchmarks.scoring import image_scores, text_f1
from pipeline.html.page import Page, extract_page
from pipeline.warc.responses import Response, read_archive

BASE_URL = "http://fakehost/test/page.html"  # what the pages of the image set believe to stand at
console = Console(stderr=True)


def sample() -> dict[str, float]:
    """Measure text and images on the sample web, whose truth is known."""
    from tests.sampleweb.web import write_web

    with tempfile.TemporaryDirectory() as folder:
        write_web(Path(folder))
        lines = (Path(folder) / "truth.jsonl").read_text("utf-8").splitlines()
        truth = {(t["url"], t["captured_at"]): t for t in map(json.loads, lines)}
        archives = sorted(str(p) for p in Path(folder).glob("pages-*.warc.gz"))
        f1, images = [], []
        for response in (r for a in archives for r in _responses(a)):
            wanted = truth.get((response.url, response.captured_at))
            if wanted is not None:
                page = _extract(response.body, response.charset, response.url)
                f1.append(text_f1(page.text, "\n".join(wanted["paragraphs"])))
                images.append((_images(page), [[b["image"]] for b in wanted["blocks"] if "image" in b]))
    return {"text_f1": sum(f1) / len(f1), **image_scores(images)}


def ordered_images(data: Path) -> dict[str, float]:
    """Measure images in order on `ordered-images`: pages with images approved by a person."""
    truth = [json.loads(line) for line in (data / "ordered-images.truth.jsonl").read_text("utf-8").splitlines()]
    with tarfile.open(data / "ordered-images.tar.gz") as tar:
        sources = {n.split("/")[-2]: n for n in tar.getnames() if n.endswith("/source.html")}
        pages = []
        for row in track(truth, "ordered images", console=console, transient=True):
            member = tar.extractfile(sources[row["page"]])
            assert member is not None
            pages.append((_images(_extract(member.read(), None, BASE_URL)), row["images"]))
    return image_scores(pages)


def main_text(data: Path) -> dict[str, float]:
    """Measure main text on `pages`: for each source of truth, and each type of page, the mean F1 over its pages."""
    with gzip.open(data / "pages.truth.jsonl.gz", "rt", encoding="utf-8") as f:
        truth = [json.loads(line) for line in f]
    texts = {}
    for response in track(list(_responses(str(data / "pages.warc.gz"))), "main text", console=console, transient=True):
        texts[response.url] = _extract(response.body, response.charset, response.url).text
    scores: dict[str, list[float]] = {}
    for row in truth:
        f1 = text_f1(texts.get(row["url"], ""), row["text"] or "")
        for name in (row["source"], row.get("page_type")):
            if name:
                scores.setdefault(f"text_f1_{name}", []).append(f1)
    return {name: sum(values) / len(values) for name, values in sorted(scores.items())}


def charsets(data: Path) -> dict[str, float]:
    """Measure the fraction of files of `charsets` that are decoded correctly."""
    return {"decoded_fraction": decoded_fraction(data / "charsets.tar.gz")}


def languages(data: Path) -> dict[str, float]:
    """Measure how well English sentences are separated from the other languages of `languages`."""
    return english(data / "languages.tar.gz")


def _responses(archive: str) -> Iterator[Response]:
    return (item for item in read_archive(archive, max_body_bytes=50_000_000) if isinstance(item, Response))


def _extract(body: bytes, charset: str | None, url: str) -> Page:
    try:
        return extract_page(body, charset, url)
    except Exception as error:  # measured as an empty page
        console.print(f"{url}: {type(error).__name__}: {error}", highlight=False)
        return Page("", [], [])


def _images(page: Page) -> list[str]:
    return [str(b["image_url"]) for b in page.blocks if b["kind"] == "image"]


SETS = {
    "ordered-images": (ordered_images, ("ordered-images.tar.gz", "ordered-images.truth.jsonl")),
    "pages": (main_text, ("pages.warc.gz", "pages.truth.jsonl.gz")),
    "charsets": (charsets, ("charsets.tar.gz",)),
    "languages": (languages, ("languages.tar.gz",)),
}


def measure(data: Path | None) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Measure the sample web and every set in DATA; return the measures and the checksum of each set."""
    measured, sums = {"sample": sample()}, {"sample": ""}
    for name, (run, files) in SETS.items():
        paths = [data / file for file in files] if data is not None else []
        if paths and all(path.exists() for path in paths):
            assert data is not None
            measured[name], sums[name] = run(data), floors.checksum(paths)
    return measured, sums


def main() -> None:
    """Measure the available data, print the measures with their floors, and fail if one is below."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="folder of the sets of real pages")
    parser.add_argument("--set-floors", action="store_true", help="keep what is measured as the new floors")
    parser.add_argument("--because", metavar="REASON", help="why a floor falls")
    given = parser.parse_args()
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    known = floors.load()
    measured, sums = measure(given.data)
    missed = 0
    for name, measures in measured.items():
        if known.get(name, {}).get("data", "") != sums[name] and name in known:
            print(f"{name}: other data than its floors were measured on; they do not count")
            known[name] = {}
        for measured_name, value in measures.items():
            floor = known.get(name, {}).get(measured_name, "-")
            bad = floors.missed(known, name, measured_name, value)
            missed += bad
            print(f"{name:<15} {measured_name:<22} {value:.{floors.DIGITS}f}  floor {floor}{'  MISSED' * bad}")
    if given.set_floors:
        floors.set_floors(floors.load(), measured, sums, given.because)
        return
    unmeasured = sorted(SETS.keys() - measured.keys())
    if unmeasured:
        print(f"not measured, no data: {', '.join(unmeasured)}")
    print(f"gate: {'passed' if not missed else f'{missed} floors missed'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
