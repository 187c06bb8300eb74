"""Print the trace of one page or image, from its capture to its shard or to the rule that dropped it."""

import textwrap
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.inspect.why import why
from schemas.display import printable, to_json

WIDTH = 80
MAX_LISTED = 5  # pages of an image, or ids of duplicates
_HEAD = 10  # characters for the step at the start of a line
_FINAL = ("record", "page", "image")  # rejected at these levels, and not only on one page: in no document
Trace = dict[str, Any]
console = Console(highlight=False)


def show_why(directory: str, name: str, as_json: bool) -> None:
    """Print the traces of the pages and images with an id or address, as text or as one JSON object.

    Raises: PathError when the directory holds no run, or nothing in it has this name.
    """
    traces = why(directory, name)
    if as_json:
        print(to_json(traces, 1))
        return
    for page in traces["pages"]:
        _page(page)
    for image in traces["images"]:
        _image(image)


def _page(page: Trace) -> None:
    _title("page", page["url"])
    _line("id", page["page_id"] or "none, because no page was read")
    captured = f", captured {page['captured_at']}" if "captured_at" in page else ""
    _line("capture", f"{page['warc_file']} at byte {page['warc_offset']:,}{captured}")
    if "texts" in page:
        language = f"{page['language']} ({page['language_score']:.2f})" if page["language"] else "unknown"
        _line(
            "extract",
            f"{page['words']:,} words in {_count(page['texts'], 'paragraph')}, "
            f"{_count(len(page['images']), 'image')} in the text, {_count(len(page['captions']), 'caption')}; "
            f"language {language}; title {page['title']!r}",
        )
        if page["measures"]:
            _line("filter", "measured " + ", ".join(f"{name} {_number(n)}" for name, n in page["measures"].items()))
    _rejections(page["rejections"])
    if page["stands_for"]:
        _line("dedup", f"kept instead of {_count(len(page['stands_for']), 'page')}: {_some(page['stands_for'])}")
    for image in page.get("images", ()):
        place = "image" if image["block"] is None else f"block {image['block']}"
        outcome = "in the document" if image["in_document"] else _why_dropped(image, page)
        _line(place, f"{image['image_url']}{_facts(image)}: {outcome}")
    for pair in page.get("captions", ()):
        sample = pair["sample"]
        outcome = f"in corpus {_place(sample)}{_other_page(sample, page)}" if sample else _why_dropped(pair, page)
        _line("caption", f"{pair['caption']!r} of {pair['image_url']}{_facts(pair)}: {outcome}")
    _result(page)


def _image(image: Trace) -> None:
    _title("image", image["image_url"] or "with unknown address")
    _line("id", image["image_id"])
    _image_pages(image)
    _image_bytes(image)
    if "cluster" in image:
        others = image["near_duplicates"]
        _line("dedup", f"near-duplicate of {_count(len(others), 'image')}: {_some(others)}")
    if image["stands_for"]:
        _line("dedup", f"kept instead of {_count(len(image['stands_for']), 'image')}: {_some(image['stands_for'])}")
    if "unsafe" in image:
        _line("score", f"unsafe {_number(image['unsafe'])}")
    _rejections(image["rejections"])
    _result(image)


def _image_pages(image: Trace) -> None:
    """Print the pages that use an image."""
    for page in image["pages"][:MAX_LISTED]:
        blocks = f" in block {', '.join(map(str, page['blocks']))}" if page["blocks"] else " outside the text"
        captions = "".join(f", with {caption!r}" for caption in page["captions"])
        scores = [f"{name.replace('_', ' ')} {page[name]:.3f}" for name in ("score", "caption_score") if page[name]]
        _line("on page", f"{page['page_id']} {page['url']}{blocks}{captions}" + "".join(f"; {s}" for s in scores))
    if image["pages"][MAX_LISTED:]:
        _line("on page", f"and {len(image['pages']) - MAX_LISTED:,} more: --json lists all")


def _image_bytes(image: Trace) -> None:
    """Print how an image was fetched and what is stored of it."""
    if "status" in image:
        _line("fetch", image["status"] + (f": {image['error']}" if "error" in image else ""))
    elif "fetch" not in image["not_run"]:
        _line("fetch", "not requested: no kept page or caption uses it, or a filter rejected it")
    if "sha256" in image:
        size = f"{image['original_width']:,} x {image['original_height']:,} pixels, " * ("original_width" in image)
        _line("received", f"{size}{image['original_bytes']:,} bytes, SHA-256 {image['sha256']}")
    if "num_bytes" in image:
        stored = f"{image['width']} x {image['height']} pixels, {image['num_bytes']:,} bytes of JPEG"
        _line("stored", f"{stored}, perceptual hash {image['phash']}")


def _rejections(rejections: Iterable[Trace]) -> None:
    for rejection in rejections:
        where = f" from page {rejection['page_id']}" if "page_id" in rejection else ""
        what = f"{rejection['level']} {rejection['block']}" if "block" in rejection else f"the {rejection['level']}"
        _line(rejection["step"], f"drops {what}{where}: {_rejection(rejection)}", "red")


def _rejection(rejection: Trace) -> str:
    """Describe a rejection: rule, meaning, measure and threshold."""
    numbers = [f"{name} {_number(rejection[key])}" for name, key in (("measured", "measure"), ("bound", "threshold"))
               if key in rejection]  # fmt: skip
    measured = f" ({', '.join(numbers)})" if numbers else ""
    kept = "in favour of " * (rejection["step"] == "dedup")
    more = f"; {kept}{rejection['detail']}" if "detail" in rejection and rejection["level"] != "caption" else ""
    return f"{rejection['rule']}, {rejection['meaning']}{measured}{more}"


def _why_dropped(item: Trace, page: Trace) -> str:
    """Explain why an image or a caption pair of a page is in no sample."""
    if item["rejections"]:
        return "; ".join(map(_rejection, item["rejections"]))
    of_page = [rejection["rule"] for rejection in page["rejections"] if rejection["level"] == "page"]
    if of_page:
        return f"dropped with the page ({', '.join(of_page)})"
    of_document = [rejection["rule"] for rejection in page["rejections"] if rejection["level"] == "document"]
    if of_document and "block" in item:
        return f"dropped with the interleaved form of the page ({', '.join(of_document)})"
    if page["not_run"]:
        return f"{page['not_run'][0]} has not run"
    return "in no document: no corpus of the recipe uses it, or another page has the same pair"


def _result(trace: Trace) -> None:
    for sample in trace["documents"]:
        _line("result", f"in corpus {_place(sample)}", "green")
    final = [r["rule"] for r in trace["rejections"] if r["level"] in _FINAL and "page_id" not in r]
    if not trace["documents"] and final:
        _line("result", f"dropped: {', '.join(final)}", "red")
    elif not trace["documents"] and not trace["not_run"]:
        _line("result", "in no document", "red")
    if trace["not_run"]:
        several = "have" if len(trace["not_run"]) > 1 else "has"
        _line("next", f"{', '.join(trace['not_run'])} {several} not run")
    console.print()


def _place(sample: Trace) -> str:
    where = f"sample {sample['position']} of {sample['tar']}" if sample["tar"] else "in no shard yet"
    return f"{sample['corpus']} as {sample['key']}, {where}"


def _other_page(sample: Trace, page: Trace) -> str:
    return "" if sample["page_id"] == page["page_id"] else f", taken from page {sample['page_id']}"


def _facts(image: Trace) -> str:
    size = f" {image['width']} x {image['height']}" if "width" in image else ""
    return size + (f", score {image['score']:.3f}" if image["score"] is not None else "")


def _some(names: list[str]) -> str:
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:,.0f}"


def _title(kind: str, name: str) -> None:
    console.print(Text(printable(f"{kind} {name}"), "bold"), soft_wrap=True)


def _line(head: str, text: str, style: str = "") -> None:
    """Print a text, wrapped, beside the step it is about; words longer than a line, such as URLs, are not broken."""
    lines = textwrap.wrap(printable(text), WIDTH - _HEAD, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        console.print(
            Text(f"{head if number == 0 else '':<{_HEAD}}", "dim").append(line, style or "none"), soft_wrap=True
        )
