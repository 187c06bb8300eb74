"""Print what became of one page or image, from its capture to the shard that holds it or to its end."""

import textwrap
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.inspect.why import why
from schemas.display import printable, to_json

WIDTH = 80
MOST = 5  # pages of an image, or ids of others, that are told to people
_HEAD = 10  # characters of a line that say which step speaks
_FINAL = ("record", "page", "image")  # what goes on these levels, and not from one page alone, is in no document
Story = dict[str, Any]
console = Console(highlight=False)


def show_why(directory: str, name: str, as_json: bool) -> None:
    """Print the stories of what an id or address names; as sentences or as one JSON object.

    Raises: PathError when nothing of a run is there, or nothing in it goes by the name.
    """
    told = why(directory, name)
    if as_json:
        print(to_json(told, 1))
        return
    for page in told["pages"]:
        _page(page)
    for image in told["images"]:
        _image(image)


def _page(story: Story) -> None:
    _title("page", story["url"])
    _say("id", story["page_id"] or "none, since no page was read")
    captured = f", captured {story['captured_at']}" if "captured_at" in story else ""
    _say("capture", f"{story['warc_file']} at byte {story['warc_offset']:,}{captured}")
    if "texts" in story:
        language = f"{story['language']} ({story['language_score']:.2f})" if story["language"] else "unknown"
        _say(
            "extract",
            f"{story['words']:,} words in {_count(story['texts'], 'paragraph')}, "
            f"{_count(len(story['images']), 'image')} among them, {_count(len(story['captions']), 'caption')}; "
            f"language {language}; title {story['title']!r}",
        )
        if story["measures"]:
            _say("filter", "measured " + ", ".join(f"{name} {_number(n)}" for name, n in story["measures"].items()))
    _against(story["rejections"])
    if story["stands_for"]:
        _say("dedup", f"it stayed for {_count(len(story['stands_for']), 'page')}: {_some(story['stands_for'])}")
    for image in story.get("images", ()):
        place = "image" if image["block"] is None else f"block {image['block']}"
        stays = "in the document" if image["in_document"] else _gone(image, story)
        _say(place, f"{image['image_url']}{_facts(image)}: {stays}")
    for pair in story.get("captions", ()):
        sample = pair["sample"]
        stays = f"in corpus {_place(sample)}{_speaker(sample, story)}" if sample else _gone(pair, story)
        _say("caption", f"{pair['caption']!r} of {pair['image_url']}{_facts(pair)}: {stays}")
    _end(story)


def _image(story: Story) -> None:
    _title("image", story["image_url"] or "of an unknown address")
    _say("id", story["image_id"])
    _image_pages(story)
    _image_bytes(story)
    if "cluster" in story:
        _say("dedup", f"looks like {_count(len(story['near_duplicates']), 'other')}: {_some(story['near_duplicates'])}")
    if story["stands_for"]:
        _say("dedup", f"it stayed for {_count(len(story['stands_for']), 'image')}: {_some(story['stands_for'])}")
    if "unsafe" in story:
        _say("score", f"unsafe {_number(story['unsafe'])}")
    _against(story["rejections"])
    _end(story)


def _image_pages(story: Story) -> None:
    """Print the pages that use an image."""
    for page in story["pages"][:MOST]:
        blocks = f" in block {', '.join(map(str, page['blocks']))}" if page["blocks"] else " beside the text"
        said = "".join(f", with {caption!r}" for caption in page["captions"])
        scores = [f"{name.replace('_', ' ')} {page[name]:.3f}" for name in ("score", "caption_score") if page[name]]
        _say("on page", f"{page['page_id']} {page['url']}{blocks}{said}" + "".join(f"; {s}" for s in scores))
    if story["pages"][MOST:]:
        _say("on page", f"and on {len(story['pages']) - MOST:,} more: --json names all")


def _image_bytes(story: Story) -> None:
    """Print how an image was fetched and what is stored of it."""
    if "status" in story:
        _say("fetch", story["status"] + (f": {story['error']}" if "error" in story else ""))
    elif "fetch" not in story["not_run"]:
        _say("fetch", "not asked for: no page or caption that stayed uses it, or a filter refused it")
    if "sha256" in story:
        size = f"{story['original_width']:,} x {story['original_height']:,} pixels, " * ("original_width" in story)
        _say("came", f"{size}{story['original_bytes']:,} bytes, SHA-256 {story['sha256']}")
    if "num_bytes" in story:
        stored = f"{story['width']} x {story['height']} pixels, {story['num_bytes']:,} bytes of JPEG"
        _say("stored", f"{stored}, perceptual hash {story['phash']}")


def _against(rejections: Iterable[Story]) -> None:
    for fate in rejections:
        where = f" from page {fate['page_id']}" if "page_id" in fate else ""
        of = f"{fate['level']} {fate['block']}" if "block" in fate else f"the {fate['level']}"
        _say(fate["step"], f"{of} goes{where}: {_fate(fate)}", "red")


def _fate(fate: Story) -> str:
    """Say a rejection in the words of schemas/reasons.py, with what was measured beside the bound."""
    numbers = [f"{name} {_number(fate[key])}" for name, key in (("measured", "measure"), ("bound", "threshold"))
               if key in fate]  # fmt: skip
    beside = f" ({', '.join(numbers)})" if numbers else ""
    survivor = "in favour of " * (fate["step"] == "dedup")
    more = f"; {survivor}{fate['detail']}" if "detail" in fate and fate["level"] != "caption" else ""
    return f"{fate['rule']}, {fate['meaning']}{beside}{more}"


def _gone(thing: Story, page: Story) -> str:
    """Say why an image or a pair of a page is in no sample."""
    if thing["rejections"]:
        return "; ".join(_fate(fate) for fate in thing["rejections"])
    taken = [fate["rule"] for fate in page["rejections"] if fate["level"] == "page"]
    if taken:
        return f"it went with the page ({', '.join(taken)})"
    lost = [fate["rule"] for fate in page["rejections"] if fate["level"] == "document"]
    if lost and "block" in thing:
        return f"it went with the interleaved form of the page ({', '.join(lost)})"
    if page["not_run"]:
        return f"{page['not_run'][0]} has not run"
    return "in no document: no corpus of the recipe wants it, or another page has the same pair"


def _end(story: Story) -> None:
    for sample in story["documents"]:
        _say("ends", f"in corpus {_place(sample)}", "green")
    final = [fate["rule"] for fate in story["rejections"] if fate["level"] in _FINAL and "page_id" not in fate]
    if not story["documents"] and final:
        _say("ends", f"left behind: {', '.join(final)}", "red")
    elif not story["documents"] and not story["not_run"]:
        _say("ends", "in no document", "red")
    if story["not_run"]:
        several = "have" if len(story["not_run"]) > 1 else "has"
        _say("then", f"{', '.join(story['not_run'])} {several} not run")
    console.print()


def _place(sample: Story) -> str:
    where = f"sample {sample['position']} of {sample['tar']}" if sample["tar"] else "in no shard yet"
    return f"{sample['corpus']} as {sample['key']}, {where}"


def _speaker(sample: Story, page: Story) -> str:
    return "" if sample["page_id"] == page["page_id"] else f", where page {sample['page_id']} speaks for it"


def _facts(image: Story) -> str:
    size = f" {image['width']} x {image['height']}" if "width" in image else ""
    return size + (f", score {image['score']:.3f}" if image["score"] is not None else "")


def _some(names: list[str], most: int = MOST) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:,.0f}"


def _title(kind: str, name: str) -> None:
    console.print(Text(printable(f"{kind} {name}"), "bold"), soft_wrap=True)


def _say(head: str, sentence: str, style: str = "") -> None:
    """Print a sentence beside who says it; a word that is longer than the line, as addresses are, is not cut."""
    lines = textwrap.wrap(printable(sentence), WIDTH - _HEAD, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        console.print(
            Text(f"{head if number == 0 else '':<{_HEAD}}", "dim").append(line, style or "none"), soft_wrap=True
        )
