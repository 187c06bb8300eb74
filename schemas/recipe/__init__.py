"""The recipe: every choice of a run, validated. Unknown keys and impossible values are errors that name the key."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from schemas.overrides import Section
from schemas.recipe.assemble import Assemble, Redact, Shard
from schemas.recipe.decode import Decode
from schemas.recipe.decontaminate import Decontaminate
from schemas.recipe.dedup import Dedup
from schemas.recipe.extract import Extract
from schemas.recipe.fetch import Fetch
from schemas.recipe.filters import Filters
from schemas.recipe.guard import Guard
from schemas.recipe.score import Clip, Score


class Recipe(Section):
    """A whole recipe. Its resolved form and hash go into every manifest."""

    name: str = Field(description="what the recipe is called")
    about: str = Field("", description="one line: what it reproduces, and its source")
    seed: int = Field(0, ge=0, description="seed of every coin and of the shuffle")
    corpora: tuple[Literal["interleaved", "caption", "text"], ...] = Field(
        ("interleaved", "caption", "text"), min_length=1, description="which corpora to make"
    )
    extract: Extract = Extract()
    filters: Filters = Filters()
    fetch: Fetch = Fetch()
    decode: Decode = Decode()
    dedup: Dedup = Dedup()
    decontaminate: Decontaminate = Decontaminate()
    clip: Clip = Clip()
    score: Score = Score()
    assemble: Assemble = Assemble()
    redact: Redact = Redact()
    shard: Shard = Shard()
    guard: Guard = Guard()

    @model_validator(mode="after")
    def _text_needs_no_image(self) -> Self:
        if self.extract.gates.need_image and "text" in self.corpora:
            raise ValueError("extract.gates.need_image drops pages that corpus text wants: take text out of corpora")
        return self

    @model_validator(mode="after")
    def _scores_are_there(self) -> Self:
        if self.assemble.placement == "assignment" and not (self.clip.enabled and self.clip.texts == "sentences"):
            raise ValueError("assemble.placement=assignment needs clip.enabled and clip.texts=sentences")
        if self.score.max_unsafe_score is not None and not (self.clip.enabled and self.clip.safety):
            raise ValueError("score.max_unsafe_score needs clip.enabled and clip.safety, the classifier that scores")
        return self

    def part(self, *sections: str) -> dict[str, Any]:
        """Return the named sections as plain JSON values: what a step's manifest records and compares."""
        return {s: self.model_dump(mode="json")[s] for s in sections}
