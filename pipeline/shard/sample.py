"""One document to the members of one sample, as schemas/shards.py lays down."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.filter import text_of
from schemas.shards import Block, CaptionFields, InterleavedFields, PageFields, TextFields


@dataclass(frozen=True)
class Picture:
    """An image as stored: what the sample needs of its row of `images`."""

    image_id: str
    sha256: str
    width: int
    height: int
    data: bytes


@dataclass(frozen=True)
class Sample:
    key: str
    members: list[tuple[str, bytes]]  # names after the key, in the order of the tar
    index: dict[str, Any]  # columns of schemas.shards.INDEX but for `members`


def make_sample(document: dict[str, Any], pictures: list[Picture]) -> Sample:
    """Make the sample of a row of `documents`; pictures are its images in the order of its image blocks."""
    make = {"interleaved": _interleaved, "caption": _caption, "text": _text}[document["corpus"]]
    text = text_of(document["blocks"])
    scores = [b["score"] for b in document["blocks"] if b["kind"] == "image"]
    index = {
        "key": document["key"],
        "language": document["language"],
        "host": document["host"],
        "num_words": len(text.split()),
        "num_characters": len(text),
        "widths": [p.width for p in pictures],
        "heights": [p.height for p in pictures],
        "scores": [s for s in scores if s is not None],
    }
    return Sample(document["key"], make(document, text, pictures), index)


def _interleaved(document: dict[str, Any], text: str, pictures: list[Picture]) -> list[tuple[str, bytes]]:
    blocks: list[Block] = []
    num_images = 0
    for b in document["blocks"]:
        image = ""
        if b["kind"] == "image":
            image = f"{num_images}.jpg"
            num_images += 1
        blocks.append(
            {
                "kind": b["kind"],
                "text": b["text"] or "",
                "image": image,
                "image_id": b["image_id"] or "",
                "image_url": b["image_url"] or "",
                "alt": b["alt"] or "",
                "caption": b["caption"] or "",
                "score": _number(b["score"]),
            }
        )
    fields: InterleavedFields = {
        **_page(document),
        "num_images": num_images,
        "num_words": len(text.split()),
        "blocks": blocks,
    }
    return [_json(fields), *((f"{i}.jpg", p.data) for i, p in enumerate(pictures))]


def _caption(document: dict[str, Any], text: str, pictures: list[Picture]) -> list[tuple[str, bytes]]:
    block, picture = document["blocks"][0], pictures[0]
    fields: CaptionFields = {
        **_page(document),
        "image_id": picture.image_id,
        "image_url": block["image_url"],
        "sha256": picture.sha256,
        "width": picture.width,
        "height": picture.height,
        "score": _number(block["score"]),
    }
    return [("jpg", picture.data), _json(fields), ("txt", text.encode())]


def _text(document: dict[str, Any], text: str, pictures: list[Picture]) -> list[tuple[str, bytes]]:
    fields: TextFields = {**_page(document), "num_words": len(text.split())}
    return [_json(fields), ("txt", text.encode())]


def _page(document: dict[str, Any]) -> PageFields:
    return {
        "key": document["key"],
        "page_id": document["page_id"],
        "url": document["url"],
        "host": document["host"],
        "captured_at": document["captured_at"],
        "language": document["language"],
        "language_score": _number(document["language_score"]),
        "title": document["title"],
    }


def _number(value: float | None) -> float:
    return round(value, 4) if value is not None else 0.0  # float32 columns would else show as 0.30000001192…


def _json(fields: object) -> tuple[str, bytes]:
    return "json", json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
