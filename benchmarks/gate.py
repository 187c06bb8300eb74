"""Measure extraction against floors that only rise: `python -m benchmarks.gate [DATA]`.

The sample web is measured always; sets of real pages where DATA holds them. Exit status 1 when a floor is missed.
To raise a floor, or with a reason to lower one, edit `benchmarks/floors.yaml`.
"""

import gzip
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import track

from benchmarks.scoring import image_scores, text_f1
from pipeline.extract import Page, extract_page
from pipeline.read import Response, read_archive

FLOORS = Path(__file__).parent / "floors.yaml"
BASE_URL = "http://fakehost/test/page.html"  # what the pages of the image set believe to stand at
MAX_SECONDS = 30
console = Console(stderr=True)


def sample() -> dict[str, float]:
    """Measure text and images on the sample web, where both are known."""
    from sample.web import write_web

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
    """Measure images in order on `ordered-images`: pages with the images that a person approved."""
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
    """Measure main text on `pages`: for each source of truth the mean F1 over its pages."""
    with gzip.open(data / "pages.truth.jsonl.gz", "rt", encoding="utf-8") as f:
        truth = [json.loads(line) for line in f]
    texts = {}
    for response in track(list(_responses(str(data / "pages.warc.gz"))), "main text", console=console, transient=True):
        texts[response.url] = _extract(response.body, response.charset, response.url).text
    scores: dict[str, list[float]] = {}
    for row in truth:
        scores.setdefault(f"text_f1_{row['source']}", []).append(text_f1(texts.get(row["url"], ""), row["text"] or ""))
    return {name: sum(values) / len(values) for name, values in scores.items()}


def _responses(archive: str) -> Iterator[Response]:
    return (item for item in read_archive(archive, max_body_bytes=50_000_000) if isinstance(item, Response))


def _extract(body: bytes, charset: str | None, url: str) -> Page:
    try:
        return extract_page(body, charset, url, MAX_SECONDS)
    except Exception as error:  # measured as an empty page
        console.print(f"{url}: {type(error).__name__}: {error}", highlight=False)
        return Page("", [], [])


def _images(page: Page) -> list[str]:
    return [str(b["image_url"]) for b in page.blocks if b["kind"] == "image"]


def main() -> None:
    """Measure what is there, print it beside its floor, and fail when one is missed."""
    import logging

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    floors: dict[str, dict[str, float]] = yaml.safe_load(FLOORS.read_text("utf-8"))
    measured: dict[str, dict[str, float]] = {"sample": sample()}
    if data is not None and data.is_dir():
        measured |= {"ordered-images": ordered_images(data), "pages": main_text(data)}
    missed = 0
    for name, measures in measured.items():
        for measure, value in measures.items():
            floor = floors.get(name, {}).get(measure)
            bad = floor is not None and value < floor
            missed += bad
            print(f"{name:<15} {measure:<22} {value:.4f}  floor {floor or '-'}{'  MISSED' * bad}")
    unmeasured: list[Any] = sorted(floors.keys() - measured.keys())
    if unmeasured:
        print(f"not measured, no data: {', '.join(unmeasured)}")
    print(f"gate: {'passed' if not missed else f'{missed} floors missed'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
