"""Extract an archive into one committed part of `pages`, `captions` and `rejections`."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from pipeline.html.captions import Caption, caption_of
from pipeline.html.page import Engine, Page, extract_page
from pipeline.html.prefilter import Prefilter, Refusal, identify
from pipeline.html.tree import NotParseable
from pipeline.io.store import COMMITS, Store
from pipeline.io.tables import PartWriter
from pipeline.media_types import HTML_TYPES
from pipeline.sandbox import Sandbox, WorkerLost
from pipeline.url import host
from pipeline.warc.http import ALL_ROBOTS
from pipeline.warc.responses import Response, Unreadable, read_archive
from pipeline.warc.stream import identify_source
from schemas.display import describe, redact_address
from schemas.reasons import BY_CODE
from schemas.recipe import Extract
from schemas.tables import CAPTIONS, PAGES, REJECTIONS, digest, image_id, page_id, rejection


def without_images(page: Page) -> tuple[Page, list[str]]:
    """Return a page with only its text, and the distinct URLs of the removed images (in blocks or with captions)."""
    texts = [block for block in page.blocks if block["kind"] == "text"]
    in_blocks = [str(block["image_url"]) for block in page.blocks if block["kind"] == "image"]
    with_captions = [image.url for image in page.images if isinstance(caption_of(image), Caption)]
    return replace(page, blocks=texts, images=[]), list(dict.fromkeys(in_blocks + with_captions))


Row = dict[str, Any]


def part_name(archive: str) -> str:
    """Return the name of an archive's part: its base name, and a hash of its URL without credentials."""
    archive = redact_address(archive)
    base = re.sub(r"[^A-Za-z0-9.-]", "_", archive.rsplit("/", 1)[-1])[:100]
    return f"{base}-{digest(archive)[:12]}"


def extract_archive(archive: str, store: Store, config: Extract, agent: str = ALL_ROBOTS) -> dict[str, Any]:
    """Extract all pages of an archive and commit its part; return the commit (counts, files).

    agent is the user agent name in pages' directives. The commit file is written last: an archive without one is
    extracted again from the start.
    Raises: PathError when the archive or the blocklist cannot be opened.
    """
    name, known_as = part_name(archive), redact_address(archive)
    files = {"pages": f"pages/{name}.parquet", "captions": f"captions/{name}.parquet",
             "rejections": f"rejections/extract/{name}.parquet"}  # fmt: skip
    source = identify_source(archive)  # before reading, so that a file replaced meanwhile is detected
    rejected: Counter[str] = Counter()
    with ExitStack() as stack:
        writers = {
            table.name: stack.enter_context(PartWriter(store, table, store.at(files[table.name])))
            for table in (PAGES, CAPTIONS, REJECTIONS)
        }
        read = partial(_read, Prefilter(config.prefilter, agent), config.engine)
        sandbox = stack.enter_context(Sandbox(read, config.max_seconds, config.max_memory_bytes))
        for item in read_archive(archive, wanted=may_be_html, max_body_bytes=config.max_page_bytes):
            rows = [_unreadable(item)] if isinstance(item, Unreadable) else _rows_of(item, sandbox)
            for table, row in rows:
                writers[table].add({**row, "warc_file": known_as} if table != "captions" else row)
                if table == "rejections":
                    rejected[str(row["rule"])] += 1
        counts = {"archives": 1, "pages": writers["pages"].num_rows, "captions": writers["captions"].num_rows}
    commit = {"archive": known_as, "source": source, "files": files, "counts": counts, "rejected": dict(rejected),
              "sums": {files[table]: part.sum for table, part in writers.items()}}  # fmt: skip
    store.write_json(store.at("pages", COMMITS, f"{name}.json"), commit)
    return commit


def may_be_html(status: int, content_type: str, url: str) -> bool:
    """Return whether to read a response as a page; with any status, since others than 200 are rejected later."""
    return content_type in HTML_TYPES


def _unreadable(item: Unreadable) -> tuple[str, Row]:
    return "rejections", rejection("extract", item.rule, BY_CODE[item.rule].level, url=item.url,
                                   warc_offset=item.offset, detail=item.detail, measure=item.length)  # fmt: skip


def _rows_of(response: Response, sandbox: Sandbox) -> list[tuple[str, Row]]:
    """Return a response's rows, each with the name of its table.

    An error while making them, or a row that does not fit its table, replaces all rows by one rejection.
    """
    identity = page_id(response.url, response.captured_at, response.body)
    try:
        rows = list(_page(response, identity, sandbox))
        for table in (PAGES, CAPTIONS, REJECTIONS):
            table.batch([{**row, **({"warc_file": ""} if table is not CAPTIONS else {})}
                         for name, row in rows if name == table.name])  # fmt: skip
    except (OSError, MemoryError):
        raise  # caused by the machine, not the page
    except Exception as error:
        detail = describe(error)
        return [("rejections", rejection("extract", "EXTRACTION_FAILED", "page", page_id=identity, url=response.url,
                                         warc_offset=response.offset, detail=detail))]  # fmt: skip
    return rows


def _page(response: Response, identity: str, sandbox: Sandbox) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a page, each with the name of its table."""

    def rejected(rule: str, level: str = "page", **known: object) -> tuple[str, Row]:
        known = {"page_id": identity, "url": response.url, "warc_offset": response.offset, **known}
        return "rejections", rejection("extract", rule, level, **known)

    if response.status != 200:
        yield rejected("HTTP_STATUS", measure=response.status, threshold=200)
        return
    result = sandbox(response)
    if isinstance(result, WorkerLost):
        result = _refusal(result, sandbox.max_cpu_seconds)
    if isinstance(result, Refusal):
        yield rejected(**asdict(result))
        return
    page, host, language, score, image_refusal = result
    if image_refusal:
        page, urls = without_images(page)
        for url in urls:
            yield rejected(image_refusal.rule, "image", image_id=image_id(url), url=url, detail=image_refusal.detail)
    for row in _captions(page, identity, response.offset):
        yield "rejections" if "rule" in row else "captions", row
    yield (
        "pages",
        {
            "page_id": identity,
            "url": response.url,
            "host": host,
            "warc_offset": response.offset,
            "captured_at": response.captured_at,
            "language": language,
            "language_score": score,
            "title": page.title,
            "license": page.license,
            "blocks": page.blocks,
        },
    )


def _refusal(lost: WorkerLost, max_cpu_seconds: float | None) -> Refusal:
    if lost.cause == "cpu":
        return Refusal("PAGE_TIMEOUT", lost.detail, threshold=max_cpu_seconds)
    if lost.cause == "wall":
        return Refusal("PAGE_STALLED", lost.detail)
    if lost.cause == "memory":
        return Refusal("PAGE_MEMORY", "needed more than extract.max_memory_bytes")
    return Refusal("EXTRACTION_FAILED", lost.detail)


def _read(
    prefilter: Prefilter, engine: Engine, response: Response
) -> Refusal | tuple[Page, str, str, float, Refusal | None]:
    """Return a page, its host, language, language score and a refusal of its images; or the refusal of the page.

    Runs in the sandbox.
    """
    decision = prefilter.apply(response)
    if decision.page:
        return decision.page
    try:
        page = extract_page(response.body, response.charset, response.url, engine)
    except NotParseable as error:
        return Refusal("NOT_PARSEABLE", str(error))
    return page, host(response.url), *identify(page.text), decision.images


def _captions(page: Page, identity: str, offset: int) -> Iterator[dict[str, Any]]:
    """Yield a row of `captions`, or of `rejections`, for each image with a text."""
    for url, caption in dict.fromkeys((image.url, caption_of(image)) for image in page.images):
        if isinstance(caption, Caption):
            yield {"image_id": image_id(url), "image_url": url, "caption": caption.text, "page_id": identity}
        elif caption is not None:
            yield rejection("extract", caption.rule, "caption", page_id=identity, image_id=image_id(url), url=url,
                            warc_offset=offset, detail=caption.written[:500])  # fmt: skip
