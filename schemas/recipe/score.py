"""How images are compared with their texts, and which scores stay."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.overrides import Section
from schemas.recipe.values import Fraction

Cosine = Annotated[float, Field(ge=-1, le=1)]


class Clip(Section):
    enabled: bool = Field(True, description="false scores nothing")
    model: str = Field("ViT-B-32", description="open_clip model name, or local-dir:PATH")
    pretrained: str | None = Field(None, description="open_clip tag (fetched from a hub) or path of a checkpoint")
    batch_size: int | None = Field(
        None, gt=0, description="images or texts in one forward pass; null is what fills the device"
    )
    keep_embeddings: bool = Field(False, description="whether table `embeddings` is written too")
    texts: Literal["blocks", "sentences"] = Field(
        "blocks", description="what of a page an image is compared with: its text blocks, or each sentence of them"
    )
    safety: str | None = Field(
        None,
        min_length=1,
        description="safetensors file with the layers of a classifier of unsafe images that reads CLIP's embeddings, "
        "see docs/score.md; null classifies none",
    )


class Score(Section):
    min_caption_score: Cosine | None = Field(None, description="lowest score of a caption pair; null keeps all")
    max_caption_fraction: Fraction | None = Field(
        None, description="fraction of the scored caption pairs that stays: those of the highest scores; null keeps all"
    )
    min_image_score: Cosine | None = Field(
        None, description="lowest best score of an interleaved image; null keeps all"
    )
    max_unsafe_score: Fraction | None = Field(
        None, description="highest score by clip.safety of an image that stays; null keeps all"
    )
    unsafe_drops: Literal["image", "page"] = Field(
        "image", description="what goes: the unsafe image, or the whole page and its captions"
    )
