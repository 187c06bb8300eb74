"""One archive to one committed part of `pages`, `captions` and `rejections`."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

from pipeline.commits import COMMITS
from pipeline.consent.directives import ALL_ROBOTS
from pipeline.extract.gates.gates import Gates
from pipeline.extract.gates.images import without_images
from pipeline.extract.images.captions import Caption, caption_of
from pipeline.extract.language import identify
from pipeline.extract.page import Engine, Page, extract_page
from pipeline.extract.refusal import Refusal
from pipeline.extract.tree import NotParseable
from pipeline.fetch.url import host
from pipeline.guard import Guard, Lost
from pipeline.read import Response, Unreadable, read_archive
from pipeline.read.response import HTML_TYPES
from pipeline.store import Store
from pipeline.write import PartWriter
from schemas.ids import digest, image_id, page_id
from schemas.recipe.extract import Extract
from schemas.secrets import redact_address
from schemas.tables import CAPTIONS, PAGES, REJECTIONS, rejection

_HTML_START = re.compile(rb"^\s*(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html)\b", re.I | re.S)


def part_name(archive: str) -> str:
    """Name an archive's part: its base name for people, a hash of its address without credentials against confusion."""
    archive = redact_address(archive)
    base = re.sub(r"[^A-Za-z0-9.-]", "_", archive.rsplit("/", 1)[-1])[:100]
    return f"{base}-{digest(archive)[:12]}"


def extract_archive(archive: str, store: Store, config: Extract, agent: str = ALL_ROBOTS) -> dict[str, Any]:
    """Extract every page of an archive and commit its part; return the commit (counts, files).

    agent is the name by which pages may speak to us. The commit file comes last: an archive without one is read again
    from the start.
    Raises: PathError when the archive, or the blocklist, cannot be opened.
    """
    name, known_as = part_name(archive), redact_address(archive)
    files = {"pages": f"pages/{name}.parquet", "captions": f"captions/{name}.parquet",
             "rejections": f"rejections/extract/{name}.parquet"}  # fmt: skip
    rejected: Counter[str] = Counter()
    with ExitStack() as stack:
        pages, captions, rejections = (
            stack.enter_context(PartWriter(store, table, store.at(files[table.name])))
            for table in (PAGES, CAPTIONS, REJECTIONS)
        )
        read = partial(_read, Gates(config.gates, agent), config.engine)
        guard = stack.enter_context(Guard(read, config.max_seconds, config.max_memory_bytes))

        def reject(row: dict[str, Any]) -> None:
            rejected[str(row["rule"])] += 1
            rejections.add({**row, "warc_file": known_as})

        for item in read_archive(archive, wanted=may_be_html, max_body_bytes=config.max_page_bytes):
            row = _unreadable(item) if isinstance(item, Unreadable) else _page(item, guard, captions, reject)
            if row is None:
                continue
            if "rule" in row:
                reject(row)
            else:
                pages.add({**row, "warc_file": known_as})
        counts = {"archives": 1, "pages": pages.num_rows, "captions": captions.num_rows}
    commit = {"archive": known_as, "files": files, "counts": counts, "rejected": dict(rejected)}
    store.write_json(store.at("pages", COMMITS, f"{name}.json"), commit)
    return commit


def may_be_html(status: int, content_type: str | None, url: str) -> bool:
    """Tell from the headers alone whether a response may be a page; untyped ones are judged by their bytes."""
    return content_type in HTML_TYPES or not content_type


def _unreadable(item: Unreadable) -> dict[str, Any]:
    level = "page" if item.rule == "TOO_LARGE" else "record"
    return rejection("extract", item.rule, level, url=item.url, warc_offset=item.offset, detail=item.detail,
                     measure=item.length)  # fmt: skip


def _page(
    response: Response, guard: Guard, captions: PartWriter, reject: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    """Return a row of `pages`, or of `rejections`, or None when the response is no page at all."""
    if response.content_type not in HTML_TYPES and not _HTML_START.match(response.body[:2_000]):
        return None
    identity = page_id(response.url, response.captured_at, response.body)

    def rejected(rule: str, **known: object) -> dict[str, Any]:
        return rejection("extract", rule, "page", page_id=identity, url=response.url, warc_offset=response.offset,
                         **known)  # fmt: skip

    if response.status != 200:
        return rejected("HTTP_STATUS", measure=response.status, threshold=200)
    found = guard(response)
    if isinstance(found, Lost):
        found = _refusal(found, guard.max_seconds)
    if isinstance(found, Refusal):
        return rejected(**asdict(found))
    page, host, language, score, forbidden = found
    if forbidden:
        page, addresses = without_images(page)
        for url in addresses:
            reject(rejection("extract", forbidden.rule, "image", page_id=identity, image_id=image_id(url), url=url,
                             warc_offset=response.offset, detail=forbidden.detail))  # fmt: skip
    for row in _captions(page, identity, response.offset):
        (reject if "rule" in row else captions.add)(row)
    return {
        "page_id": identity,
        "url": response.url,
        "host": host,
        "warc_offset": response.offset,
        "captured_at": response.captured_at,
        "language": language,
        "language_score": score,
        "title": page.title,
        "licence": page.licence,
        "blocks": page.blocks,
    }


def _refusal(lost: Lost, max_seconds: float) -> Refusal:
    if lost.cause == "time":
        return Refusal("PAGE_TIMEOUT", lost.detail, threshold=max_seconds)
    if lost.cause == "memory":
        return Refusal("PAGE_MEMORY", "needed more than extract.max_memory_bytes")
    return Refusal("EXTRACTION_FAILED", lost.detail)


def _read(gates: Gates, engine: Engine, response: Response) -> Refusal | tuple[Page, str, str, float, Refusal | None]:
    """Return a page, its host, its language, that one's probability and what forbids its images; or why there is none.

    Runs in the guard.
    """
    verdict = gates.judge(response)
    if verdict.page:
        return verdict.page
    try:
        page = extract_page(response.body, response.charset, response.url, engine)
    except NotParseable as error:
        return Refusal("NOT_PARSEABLE", str(error))
    return page, host(response.url), *identify(page.text), verdict.images


def _captions(page: Page, identity: str, offset: int) -> Iterator[dict[str, Any]]:
    """Yield a row of `captions`, or of `rejections`, for each image with words."""
    for url, words in dict.fromkeys((image.url, caption_of(image)) for image in page.images):
        if isinstance(words, Caption):
            yield {"image_id": image_id(url), "image_url": url, "caption": words.text, "page_id": identity}
        elif words is not None:
            yield rejection("extract", words.rule, "caption", page_id=identity, image_id=image_id(url), url=url,
                            warc_offset=offset, detail=words.written[:500])  # fmt: skip
