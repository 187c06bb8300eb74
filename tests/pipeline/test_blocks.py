"""Positions of blocks of a kind, compared with a simple implementation."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from blocks import PLACED, page
from hypothesis import given
from hypothesis import strategies as st

from pipeline.blocks import IMAGE_REFS, image_refs, text_blocks
from schemas.tables import image_id

PAGES = st.lists(
    st.lists(st.sampled_from(["http://a/1", "http://a/2", "http://b/ä", "words", "", "more words"]), max_size=5),
    max_size=6,
)
FIRST = st.integers(0, 2)


def batch_of(pages: list[list[str]], first: int) -> pa.RecordBatch:
    """Return a slice of a batch of pages, as in Arrow; a block's position is 10 + its index."""
    rows = [page(f"p{n}", *blocks, positions=range(10, 10 + len(blocks))) for n, blocks in enumerate(pages)]
    return pa.RecordBatch.from_pylist(rows, schema=PLACED).slice(first)


def each(pages: list[list[str]], first: int, images: bool) -> Iterator[tuple[int, int, str]]:
    """Yield the number of the page, the index and the content of each block of a kind."""
    for number, blocks in list(enumerate(pages))[first:]:
        yield from ((number, n, said) for n, said in enumerate(blocks) if said.startswith("http") == images)


@given(PAGES, FIRST)
def test_every_image_block_is_told_with_its_place(pages: list[list[str]], first: int) -> None:
    (found,) = image_refs(iter([batch_of(pages, first)]))
    assert found.schema == IMAGE_REFS
    assert found.to_pylist() == [
        {
            "page_id": f"p{number}", "warc_file": "w", "warc_offset": len(f"p{number}"),
            "block": place, "image_id": image_id(url), "image_url": url,
        }
        for number, place, url in each(pages, first, images=True)
    ]  # fmt: skip


@given(PAGES, FIRST)
def test_every_text_block_has_its_position(pages: list[list[str]], first: int) -> None:
    page_row, position, texts = text_blocks(batch_of(pages, first))
    told: list[tuple[Any, ...]] = list(zip(page_row.tolist(), position.tolist(), texts.to_pylist(), strict=True))
    assert told == [(number - first, 10 + place, text) for number, place, text in each(pages, first, images=False)]


def test_positions_are_those_on_the_page_as_extracted() -> None:
    rows = [page("p", "http://x/i", "Hello, World", "", positions=[4, 6, 7])]
    page_row, position, texts = text_blocks(pa.RecordBatch.from_pylist(rows, schema=PLACED))
    assert (page_row.tolist(), position.tolist(), texts.to_pylist()) == ([0, 0], [6, 7], ["Hello, World", ""])
