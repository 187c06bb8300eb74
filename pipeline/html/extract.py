"""One archive to one committed part of `pages`, `captions` and `rejections`."""

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
    """Return a page's text alone, and each address that it would have given, in a block or with a caption."""
    texts = [block for block in page.blocks if block["kind"] == "text"]
    shown = [str(block["image_url"]) for block in page.blocks if block["kind"] == "image"]
    told = [image.url for image in page.images if isinstance(caption_of(image), Caption)]
    return replace(page, blocks=texts, images=[]), list(dict.fromkeys(shown + told))


Row = dict[str, Any]


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
    source = identify_source(archive)  # before the first byte is read: what replaces it from then on is another file
    rejected: Counter[str] = Counter()
    with ExitStack() as stack:
        writers = {
            table.name: stack.enter_context(PartWriter(store, table, store.at(files[table.name])))
            for table in (PAGES, CAPTIONS, REJECTIONS)
        }
        read = partial(_read, Prefilter(config.prefilter, agent), config.engine)
        guard = stack.enter_context(Sandbox(read, config.max_seconds, config.max_memory_bytes))
        for item in read_archive(archive, wanted=may_be_html, max_body_bytes=config.max_page_bytes):
            rows = [_unreadable(item)] if isinstance(item, Unreadable) else _rows_of(item, guard)
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
    """Want every page, whatever its status: one that is no answer 200 leaves a row of its own."""
    return content_type in HTML_TYPES


def _unreadable(item: Unreadable) -> tuple[str, Row]:
    return "rejections", rejection("extract", item.rule, BY_CODE[item.rule].level, url=item.url,
                                   warc_offset=item.offset, detail=item.detail, measure=item.length)  # fmt: skip


def _rows_of(response: Response, guard: Sandbox) -> list[tuple[str, Row]]:
    """Return the rows that a response gives, each with the name of its table.

    What raises while they are made, or fits no table, costs this page alone: all its rows, for one that says why.
    """
    identity = page_id(response.url, response.captured_at, response.body)
    try:
        rows = list(_page(response, identity, guard))
        for table in (PAGES, CAPTIONS, REJECTIONS):
            table.batch([{**row, **({"warc_file": ""} if table is not CAPTIONS else {})}
                         for name, row in rows if name == table.name])  # fmt: skip
    except (OSError, MemoryError):
        raise  # the machine's fault, not the page's
    except Exception as error:
        detail = describe(error)
        return [("rejections", rejection("extract", "EXTRACTION_FAILED", "page", page_id=identity, url=response.url,
                                         warc_offset=response.offset, detail=detail))]  # fmt: skip
    return rows


def _page(response: Response, identity: str, guard: Sandbox) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a page, each with the name of its table."""

    def rejected(rule: str, level: str = "page", **known: object) -> tuple[str, Row]:
        known = {"page_id": identity, "url": response.url, "warc_offset": response.offset, **known}
        return "rejections", rejection("extract", rule, level, **known)

    if response.status != 200:
        yield rejected("HTTP_STATUS", measure=response.status, threshold=200)
        return
    found = guard(response)
    if isinstance(found, WorkerLost):
        found = _refusal(found, guard.max_cpu_seconds)
    if isinstance(found, Refusal):
        yield rejected(**asdict(found))
        return
    page, host, language, score, forbidden = found
    if forbidden:
        page, addresses = without_images(page)
        for url in addresses:
            yield rejected(forbidden.rule, "image", image_id=image_id(url), url=url, detail=forbidden.detail)
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
    """Return a page, its host, its language, that one's probability and what forbids its images; or why there is none.

    Runs in the guard.
    """
    verdict = prefilter.judge(response)
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
