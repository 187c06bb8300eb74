"""Random dropping of half of the documents with one image."""

import pyarrow as pa

from filters.document import SINGLE_IMAGE
from jobs.recipes import load


def judge(pages: list[str], kinds: list[str], *assignments: str) -> list[str | None]:
    columns = {"page_id": pages, "kinds": [kinds] * len(pages)}
    return SINGLE_IMAGE(pa.RecordBatch.from_pydict(columns), load("kosmos1", list(assignments))).reason.to_pylist()


def test_half_are_dropped() -> None:
    pages = [f"page {i}" for i in range(10_000)]
    dropped = judge(pages, ["text", "image"]).count("SINGLE_IMAGE")
    assert 4_800 < dropped < 5_200  # four standard deviations of a fair coin


def test_the_threshold_is_the_fraction_kept() -> None:
    pages = [f"page {i}" for i in range(1_000)]
    assert judge(pages, ["image"], "assemble.single_image_keep_fraction=1") == [None] * 1_000
    assert judge(pages, ["image"], "assemble.single_image_keep_fraction=0") == ["SINGLE_IMAGE"] * 1_000


def test_only_documents_with_one_image_are_sampled() -> None:
    pages = [f"page {i}" for i in range(100)]
    for kinds in ([], ["text"], ["image", "text", "image"]):
        assert judge(pages, kinds, "assemble.single_image_keep_fraction=0") == [None] * 100


def test_another_seed_gives_another_sample() -> None:
    pages = [f"page {i}" for i in range(100)]
    assert judge(pages, ["image"]) == judge(pages, ["image"])
    assert judge(pages, ["image"]) != judge(pages, ["image"], "seed=1")
