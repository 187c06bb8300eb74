"""The decoder, and the eye before it."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.overrides import Section
from trainer.config.values import Fraction

MAX_PARAMETERS = 10**12  # of the decoder: what asks for more is damaged, or a slip of the keyboard


class Model(Section):
    """The decoder."""

    layers: int = Field(gt=0, le=1024, description="decoder blocks")
    width: int = Field(gt=0, le=2**17, description="width of the residual stream")
    ffn_width: int = Field(gt=0, le=2**19, description="width between the two matrices of a feed-forward block")
    heads: int = Field(gt=0, le=1024, description="attention heads, of the resampler too")
    dropout: Fraction = Field(0.0, description="on embeddings and every residual branch")
    attention_dropout: Fraction | None = Field(None, description="on attention weights; null: as `dropout`")
    attention: Literal["sdpa", "flex"] = Field(
        "sdpa", description="flex: FlexAttention, which passes over what a document mask hides; for GPUs"
    )
    document_mask: bool = Field(
        True, description="documents of a row see only themselves; false: a row is one stretch, as the paper packs"
    )
    positions: Literal["xpos", "sinusoidal"] = Field("xpos", description="sinusoidal also scales embeddings by √width")
    initialisation: Literal["xavier", "linear"] = Field(
        "xavier", description="base of the Magneto initialisation: the paper's, or PyTorch's default for Linear"
    )
    vocabulary_multiple: int = Field(
        128, gt=0, le=2**16, description="the embedding is padded to a multiple of this many rows"
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "Model":
        if self.width % (2 * self.heads):
            raise ValueError(
                f"model.width {self.width} must be a multiple of 2 × heads ({2 * self.heads}): xPos turns pairs"
            )
        if self.positions == "sinusoidal" and self.width < 4:
            raise ValueError("model.width must be at least 4 for sinusoidal positions")
        return self

    @property
    def min_parameters(self) -> int:
        """Parameters of the decoder's matrices, and of an embedding of the fewest rows."""
        return self.width * (self.layers * (4 * self.width + 2 * self.ffn_width) + self.vocabulary_multiple)

    @model_validator(mode="after")
    def _is_of_a_sane_size(self) -> "Model":
        if self.min_parameters > MAX_PARAMETERS:
            raise ValueError(
                f"model: {self.layers} layers of width {self.width} and ffn_width {self.ffn_width} have "
                f"{self.min_parameters:,} parameters, which is more than {MAX_PARAMETERS:,}"
            )
        return self

    @model_validator(mode="after")
    def _flex_drops_nothing(self) -> "Model":
        dropout = self.dropout if self.attention_dropout is None else self.attention_dropout
        if self.attention == "flex" and dropout:
            raise ValueError("model.attention flex cannot drop attention weights: set model.attention_dropout to 0")
        return self


class Tower(Section):
    """A vision transformer made anew, for runs without a pretrained one."""

    image_size: int = Field(64, gt=0, le=4096, description="side of the square that an image is cut to [pixels]")
    patch_size: int = Field(16, gt=0, le=4096, description="side of a patch [pixels]")
    width: int = Field(128, gt=0, le=2**14, description="width of its features")
    layers: int = Field(2, gt=0, le=256, description="blocks")
    heads: int = Field(4, gt=0, le=256, description="attention heads")

    @model_validator(mode="after")
    def _parts_fit(self) -> "Tower":
        if self.width % self.heads:
            raise ValueError(f"vision.tower.width {self.width} must be a multiple of its heads ({self.heads})")
        if not self.patch_size <= self.image_size <= 512 * self.patch_size:
            raise ValueError(
                f"vision.tower.image_size {self.image_size} must be 1 to 512 times its patch_size ({self.patch_size})"
            )
        return self


class Vision(Section):
    """The eye: a CLIP vision transformer and the resampler behind it."""

    model: str | None = Field(None, description="open_clip model name, or local-dir:PATH; null: `tower`, made anew")
    pretrained: str | None = Field(None, description="open_clip tag (fetched from a hub) or path of a checkpoint")
    tower: Tower = Tower()
    trainable_layers: int | None = Field(1, ge=0, description="last blocks of the tower that learn; null: all of it")
    latents: int = Field(64, gt=0, le=4096, description="embeddings that stand for one image in the decoder")

    @property
    def min_parameters(self) -> int:
        """Parameters of the matrices of a tower made anew; 0 for one by name."""
        return 12 * self.tower.layers * self.tower.width**2 if self.model is None else 0
