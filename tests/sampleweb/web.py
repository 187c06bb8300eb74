"""Write the sample web: archives of pages and images, and their ground truth.

    python -m tests.sampleweb.web OUT_DIR [--seed N] [--pages N]

`pages-000.warc.gz` ... hold the pages, `images.warc.gz` what answers at the images' addresses, `truth.jsonl` one line
for each capture of a page and `truth-images.jsonl` one for each image address. The same seed gives the same bytes.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from urllib.parse import urlsplit

import typer

from tests.sampleweb.archive import write_request, write_response, write_revisit, write_warcinfo
from tests.sampleweb.builder import plan_pages
from tests.sampleweb.pages import html
from tests.sampleweb.pictures import Picture, responses
from tests.sampleweb.plan import NUM_ARCHIVES, Page
from tests.sampleweb.truth import image_truth, page_truth

OPENED = "2024-03-01T07:00:00Z"  # before the first capture
CLOSED = "2024-06-01T00:00:00Z"  # after the last
SITE = "http://records.example"
PAGE_LESS = (  # responses that make no page
    (f"{SITE}/leaflet.pdf", "200 OK", (("Content-Type", "application/pdf"),), b"%PDF-1.4\n%%EOF\n"),
    (f"{SITE}/opening.json", "200 OK", (("Content-Type", "application/json"),), b'{"open": true}'),
    (f"{SITE}/old.html", "301 Moved Permanently", (("Location", f"{SITE}/new.html"),), b""),
)


def write_web(directory: Path, seed: int = 0, num_pages: int = 300, noise: int = 1) -> None:
    """Write the archives and the truth into a directory, which is made if need be. Args: as `sample.cases.schedule`."""
    directory.mkdir(parents=True, exist_ok=True)
    pages = sorted(plan_pages(seed, num_pages, noise), key=lambda page: page.archive)
    names = [f"pages-{number:03d}.warc.gz" for number in range(NUM_ARCHIVES)]
    for number, name in enumerate(names):
        with (directory / name).open("wb") as stream:
            write_warcinfo(stream, name, OPENED)
            _write_pages(stream, [page for page in pages if page.archive == number])
    pictures = {p.picture.url: p.picture for page in pages for p in page.shown}
    with (directory / "images.warc.gz").open("wb") as stream:
        write_warcinfo(stream, "images.warc.gz", OPENED)
        _write_images(stream, pictures.values())
    _write_lines(directory / "truth.jsonl", (page_truth(page, names[page.archive]) for page in pages))
    _write_lines(directory / "truth-images.jsonl", map(image_truth, pictures.values()))


def _write_pages(stream: BinaryIO, pages: list[Page]) -> None:
    for page in pages:
        body = html(page).encode(page.charset, "xmlcharrefreplace")
        media_type = f"text/html; charset={page.charset}" if page.charset_in == "header" else "text/html"
        parts = urlsplit(page.url)
        write_request(stream, page.url, page.captured_at, parts.netloc, parts.path)
        status = "404 Not Found" if page.fate == "HTTP_STATUS" else "200 OK"
        write_response(stream, page.url, page.captured_at, status, (("Content-Type", media_type),), body)
    for url, status, headers, body in PAGE_LESS:
        write_response(stream, url, CLOSED, status, headers, body)
    write_revisit(stream, pages[0].url, CLOSED, pages[0].captured_at, html(pages[0]).encode())


def _write_images(stream: BinaryIO, pictures: Iterable[Picture]) -> None:
    for picture in pictures:
        for response in responses(picture):
            write_response(stream, response.url, CLOSED, response.status, response.headers, response.body)


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main(
    out_dir: Annotated[Path, typer.Argument(help="directory to write into")],
    seed: Annotated[int, typer.Option(help="the same seed gives the same bytes")] = 0,
    pages: Annotated[int, typer.Option(help="pages to write, beside their second captures")] = 300,
) -> None:
    """Write the sample web and the truth about it."""
    write_web(out_dir, seed, pages)


if __name__ == "__main__":
    typer.run(main)
