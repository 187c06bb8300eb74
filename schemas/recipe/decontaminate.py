"""What evaluation sets hold, and how much like it goes."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.overrides import Section


class Decontaminate(Section):
    """Evaluation sets that nothing of may be learnt: local paths or addresses as fsspec takes them."""

    texts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="JSONL files, also compressed, of one item a line"
    )
    keys: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="names of the values of an item that count, at any depth; empty counts every string"
    )
    images: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="folders of images; what in them has no suffix of an image is passed over"
    )
    ngram_words: int = Field(13, gt=0, description="words in a row that a text and an item share when it goes")
    min_item_words: int = Field(
        8, gt=0, description="fewest words of an item that is shorter than that and looked for as a whole"
    )
    max_shared_items: int = Field(
        10, gt=0, description="most items that share a run of words: one that more share is no item's own"
    )
    max_blocks: int = Field(10, ge=0, description="a page that more blocks would go from goes whole")
    max_image_distance: int = Field(
        4, ge=0, le=16, description="bits of 64 in which the perceptual hash of an image that goes differs at most"
    )

    @model_validator(mode="after")
    def _short_items_are_shorter(self) -> Self:
        if self.min_item_words > self.ngram_words:
            raise ValueError("decontaminate.min_item_words is at most decontaminate.ngram_words")
        return self
