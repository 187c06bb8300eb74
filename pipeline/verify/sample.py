"""One sample: its JSON is of its corpus and names its images, its texts are texts, its images decode whole."""

import io
import warnings
from collections.abc import Iterator
from typing import Any

from PIL import Image

from schemas.display import describe
from schemas.errors import IntegrityError
from schemas.shards import CaptionFields, InterleavedFields, TextFields, check_blocks
from schemas.strict_json import check_object, parse_json

MAX_PIXELS = 100_000_000  # of an image that is decoded; a shard's are far smaller, whatever a damaged header says
_FIELDS = {
    "interleaved": InterleavedFields,
    "caption": CaptionFields,
    "text": TextFields,
}


def faults(corpus: str, row: dict[str, Any], members: dict[str, bytes]) -> Iterator[str]:
    """Yield what is wrong with a sample: row is of the index, members are bytes by their names after the key."""
    try:
        fields = parse_json(members.get("json", b""), "it")
        check_object(fields, _FIELDS[corpus], "it")
        named = _named(corpus, fields)
    except IntegrityError as error:
        yield f"its JSON cannot be read: {error}"
        named = [name for name in members if name.endswith("jpg")]
    else:
        if more := fields.keys() - _FIELDS[corpus].__annotations__:
            yield f"its JSON has fields that no sample of {corpus} has: {', '.join(sorted(more))}"
        if fields.get("key") != row["key"]:
            yield f"its JSON has the key {fields.get('key')!r}"
        wanted = {"json", *named} | ({"txt"} if corpus != "interleaved" else set())
        if wanted != members.keys():
            yield f"its members are {', '.join(members)}, and should be {', '.join(sorted(wanted))}"
    if "txt" in members:
        yield from _text_faults(row, members["txt"])
    yield from _size_faults(row, [name for name in named if name in members], members)


def _named(corpus: str, fields: dict[str, Any]) -> list[str]:
    """Return the image members that a sample's JSON names, in order."""
    if corpus == "interleaved":
        return [block["image"] for block in check_blocks(fields, "it") if block["kind"] == "image"]
    return ["jpg"] if corpus == "caption" else []


def _text_faults(row: dict[str, Any], data: bytes) -> Iterator[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        yield f"its text is no UTF-8: {error}"
        return
    if (len(text), len(text.split())) != (row["num_characters"], row["num_words"]):
        yield f"its text has {len(text)} characters, the index says {row['num_characters']}"


def _size_faults(row: dict[str, Any], names: list[str], members: dict[str, bytes]) -> Iterator[str]:
    sizes = list(zip(row["widths"], row["heights"], strict=False))
    if len(sizes) != len(names):
        yield f"it has {len(names)} images, the index says {len(sizes)}"
    for name, size in zip(names, sizes, strict=False):
        if fault := _image_fault(members[name], size):
            yield f"{name}: {fault}"


def _image_fault(data: bytes, size: tuple[int, int]) -> str:
    """Decode an image whole; return what is wrong with it, '' when nothing is."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if image.size != size or image.width * image.height > MAX_PIXELS:
                return f"is {image.width}x{image.height} pixels, the index says {size[0]}x{size[1]}"
            image.load()
    except Exception as error:  # decoders raise whatever they like
        return f"does not decode: {describe(error, 200)}"
    return ""
