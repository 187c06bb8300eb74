import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.corpus import Sample
from trainer.data.packing import IGNORED, Document, PackedRow, end_of_segment

SAMPLE = Sample("a", "a.tar", {})


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Units of text or of an image with two embeddings; a row may end before every unit but the first."""
    units = draw(st.lists(st.one_of(st.integers(1, 30), st.just("image")), min_size=1, max_size=8))
    image_mask: list[bool] = []
    cuts: list[bool] = []
    for unit in units:
        new = [False, True, True, False] if unit == "image" else [False] * int(unit)
        cuts += [bool(image_mask)] + [False] * (len(new) - 1)
        image_mask += new
    image_mask_L = np.array(image_mask)
    images = tuple(f"{i}.jpg" for i in range(units.count("image")))
    return Document(
        np.arange(10, 10 + len(image_mask), dtype=np.int32), image_mask_L, ~image_mask_L, np.array(cuts), images
    )


@given(st.lists(documents(), min_size=1, max_size=5))
def test_rows_hold_every_token_once_in_order_and_complete_units(packed: list[Document]) -> None:
    length = 16
    rows = [PackedRow.empty(length)]
    for document in packed:
        start = 0
        while start < len(document.tokens_L):
            end = end_of_segment(document, start, rows[-1])
            if end == start:
                rows.append(PackedRow.empty(length))
                continue
            fits = len(document.tokens_L) == end or document.cuts_L[end]
            assert fits or end - start == length  # only a sentence longer than a row is split
            rows[-1].add(document, start, end, SAMPLE)
            start = end
    tokens = np.concatenate([row.tokens_T[: row.num_tokens] for row in rows])
    assert tokens.tolist() == [t for d in packed for t in d.tokens_L]
    assert [i.member for row in rows for i in row.images] == [i for d in packed for i in d.images]
    for row in rows:
        assert int(row.image_mask_T.sum()) == 2 * len(row.images)
        assert (row.segment_ids_T == 0).tolist() == [t >= row.num_tokens for t in range(length)]


def test_targets_are_inside_their_segment_and_never_image_embeddings() -> None:
    image_mask = np.array([False, False, True, True, False, False])
    document = Document(np.arange(10, 16, dtype=np.int32), image_mask, ~image_mask, np.zeros(6, np.bool_), ("jpg",))
    row = PackedRow.empty(15)
    row.add(document, 0, 6, SAMPLE)
    row.add(document, 0, 6, SAMPLE)
    assert row.targets_T.tolist() == [11, IGNORED, IGNORED, 14, 15, IGNORED] * 2 + [IGNORED] * 3
    assert row.segment_ids_T.tolist() == [1] * 6 + [2] * 6 + [0] * 3
    row.ignore_segment(1)
    assert row.targets_T.tolist() == [IGNORED] * 6 + [11, IGNORED, IGNORED, 14, 15] + [IGNORED] * 4
