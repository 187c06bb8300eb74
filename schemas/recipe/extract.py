"""What is read of an archive, and what refuses a page before its text is looked for."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.overrides import Section
from schemas.recipe.languages import LanguageCode
from schemas.recipe.values import DIRECTIVES, Directive, Fraction


class Gates(Section):
    """What refuses a page before it is extracted; a gate judges the whole page, so its bounds are low."""

    languages: tuple[LanguageCode, ...] = Field(
        (),
        description="ISO 639 codes of the identification model; a page that is likely in none of them goes; empty "
        "keeps every language",
    )
    min_language_score: Fraction = Field(0.0, description="lowest probability of some wanted language")
    min_words: int = Field(0, ge=0, description="fewest words, menus included, of a page without images")
    need_image: bool = Field(False, description="whether a page without any image goes; not with the text corpus")
    directives: tuple[Directive, ...] = Field(
        DIRECTIVES,
        description="directives, in a page's headers or meta elements, that refuse it; noimageai and noimageindex "
        "refuse its images alone",
    )
    blocklist: str | None = Field(
        None, min_length=1, description="file of one host or address prefix a line whose pages go; null blocks none"
    )

    @model_validator(mode="after")
    def _languages_have_a_bound(self) -> Self:
        if bool(self.languages) != (self.min_language_score > 0):
            raise ValueError("extract.gates.languages and extract.gates.min_language_score (above 0) go together")
        return self


class Extract(Section):
    max_page_bytes: int = Field(10_000_000, gt=0, description="a larger HTML body is rejected")
    max_seconds: float = Field(
        10,
        gt=0,
        description="longest processor time for one page; of wall time 60 times that",
    )
    max_memory_bytes: int = Field(2_000_000_000, gt=0, description="most memory for one page")
    gates: Gates = Gates()
    engine: Literal["blocks", "trafilatura"] = Field(
        "blocks", description="who tells main content: our own block model, or trafilatura, to compare with"
    )
