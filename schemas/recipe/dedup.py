"""Of what is equal or looks the same, what stays."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.overrides import Section
from schemas.recipe.values import Fraction


class NearText(Section):
    enabled: bool = Field(False, description="whether of pages whose texts are nearly the same one stays")
    ngram_words: int = Field(5, gt=0, description="words of a shingle; texts are compared by the shingles they share")
    bands: int = Field(14, gt=0, description="bands of a MinHash signature; texts that agree in one are joined")
    rows: int = Field(
        8, gt=0, description="hashes of a band; two of three texts with (1 / bands) ** (1 / rows) in common are joined"
    )
    min_similarity: Fraction = Field(
        0.0, description="least share of shingles that a page has in common with the one it goes for, as estimated"
    )


class Paragraphs(Section):
    """Text blocks that stand on many pages; they are compared without case, punctuation and the values of digits."""

    max_host_pages: int | None = Field(
        None, gt=0, description="most pages of one host that a paragraph stands on; null is no bound"
    )
    max_pages: int | None = Field(
        None, gt=0, description="most pages of the whole run that a paragraph stands on; null is no bound"
    )
    keep: Literal["none", "newest"] = Field(
        "none", description="whether a paragraph on more pages goes from all of them, or stays on the newest"
    )
    min_words: int = Field(1, ge=0, description="fewest words of a paragraph that is compared; shorter ones stay")


class Dedup(Section):
    url: bool = Field(False, description="of captures of one address keep the newest")
    text: bool = Field(False, description="of pages with the same text keep the newest")
    image_set: bool = Field(False, description="of pages with the same set of image addresses keep the newest")
    paragraphs: Paragraphs = Paragraphs()
    min_words_left: int | None = Field(
        None,
        ge=0,
        description="fewest words of a page that lost paragraphs here; null is filters.text.min_words",
    )
    near_text: NearText = NearText()
    image: bool = Field(False, description="of addresses with the same bytes keep one")
    image_distance: int | None = Field(
        None,
        ge=0,
        le=16,
        description="images look alike when their perceptual hashes differ in this many bits of 64 at most; null "
        "compares none. Such hashes differ in an even number of bits",
    )
    keep_lookalikes: Literal["one", "one_a_page", "all"] = Field(
        "one",
        description="how many images of a cluster of look-alikes stay: one (the largest) in the whole run, one (the "
        "first) on each page, or all",
    )
    max_image_uses: int | None = Field(
        None, gt=0, description="most pages that an image's address stands on; null is no bound"
    )
    max_lookalike_uses: int | None = Field(
        None, gt=0, description="most pages that all images of a cluster of look-alikes stand on; null is no bound"
    )

    @model_validator(mode="after")
    def _uses_of_lookalikes_need_a_distance(self) -> Self:
        if self.max_lookalike_uses is not None and self.image_distance is None:
            raise ValueError("dedup.max_lookalike_uses needs dedup.image_distance, which says what looks alike")
        return self
