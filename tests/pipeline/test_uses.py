"""Which images a page's blocks use, against the same said plainly, a block at a time."""

import pyarrow as pa
from blocks import PLACED, page
from hypothesis import given
from hypothesis import strategies as st

from pipeline.uses import USES, image_uses
from schemas.ids import image_id

BLOCKS = st.lists(st.sampled_from(["http://a/1", "http://a/2", "http://b/ä", "words", "more words"]), max_size=5)


@given(st.lists(BLOCKS, max_size=6), st.integers(0, 2))
def test_every_image_block_is_told_with_its_place(pages: list[list[str]], first: int) -> None:
    rows = [page(f"p{number}", *blocks) for number, blocks in enumerate(pages)]
    batch = pa.RecordBatch.from_pylist(rows, schema=PLACED).slice(first)  # as Arrow hands on parts of a batch
    (found,) = image_uses(iter([batch]))
    assert found.schema == USES
    assert found.to_pylist() == [
        {
            "page_id": f"p{number}", "warc_file": "w", "warc_offset": len(f"p{number}"),
            "block": place, "image_id": image_id(block), "image_url": block,
        }
        for number, blocks in enumerate(pages) if number >= first
        for place, block in enumerate(blocks) if block.startswith("http")
    ]  # fmt: skip
