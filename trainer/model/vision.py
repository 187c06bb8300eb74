"""The vision encoder (CLIP of open_clip) and the resampler.

Tensor letters: I images, C channels, H and W pixels, S patch tokens, V width of the encoder, N latents, M width of the
decoder.
"""

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transform import PreprocessCfg
from open_clip.transformer import VisionTransformer
from torch import nn

from schemas.errors import MissingError, RecipeError
from trainer.config import VisionConfig
from trainer.model.attention import Attention


class Vision(nn.Module):
    """The vision encoder: normalised tokens after the last LayerNorm. Only the last `trainable_layers` blocks train."""

    def __init__(self, config: VisionConfig, pretrained: bool = True) -> None:
        super().__init__()
        self.tower, self.preprocess = _tower(config, pretrained)
        self.tower.pool_type = "none"  # return every token, not only the class token
        self.tower.proj = None  # the projection into CLIP's joint space is not used
        self.width = self.tower.ln_post.normalized_shape[0]
        if config.trainable_layers is not None:
            self.tower.requires_grad_(False)
            blocks = list(self.tower.transformer.resblocks)
            for block in blocks[len(blocks) - min(config.trainable_layers, len(blocks)) :]:
                block.requires_grad_(True)
            self.tower.ln_post.requires_grad_(config.trainable_layers > 0)

    def forward(self, pixels_ICHW: torch.Tensor) -> torch.Tensor:
        """Return the features (I, S, V) of images."""
        return F.normalize(self.tower(pixels_ICHW), dim=-1)


def _tower(config: VisionConfig, pretrained: bool) -> tuple[VisionTransformer, PreprocessCfg]:
    """Make or load the vision transformer; return it with the image preprocessing of its published weights.

    Raises: RecipeError when the model is not a vision transformer; MissingError when open_clip does not know it, its
        weights cannot be loaded, or its configuration is damaged.
    """
    if config.model is None:
        t = config.tower
        tower = VisionTransformer(t.image_size, t.patch_size, t.width, t.layers, t.heads, mlp_ratio=4.0)
        return tower, PreprocessCfg(size=t.image_size)
    weights = config.pretrained if pretrained else None
    published = open_clip.get_pretrained_cfg(config.model, config.pretrained or "")
    preprocess = {k: published[k] for k in ("mean", "std", "interpolation", "resize_mode") if published.get(k)}
    try:
        model = open_clip.create_model(
            config.model,
            weights,
            load_weights=pretrained,
            device=torch.get_default_device(),  # "meta" allocates no memory
            force_preprocess_cfg=preprocess or None,
        )
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise MissingError(f"vision.model {config.model}: {error}") from error
    if not isinstance(model.visual, VisionTransformer):
        raise RecipeError(
            f"vision.model {config.model} is no vision transformer; choose one, such as ViT-L-14-quickgelu"
        )
    return model.visual, PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))


class Resampler(nn.Module):
    """Learned latents that attend once to [features; latents], as in the released Kosmos models."""

    def __init__(self, vision_width: int, width: int, heads: int, latents: int) -> None:
        super().__init__()
        self.project = nn.Linear(vision_width, width)
        # with norm 1, like the projected features: larger latents would dominate the image at first
        self.latents_NM = nn.Parameter(torch.randn(latents, width) * width**-0.5)
        self.attention = Attention(width, heads)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, features_ISV: torch.Tensor) -> torch.Tensor:
        """Return the image embeddings (I, N, M)."""
        latents_INM = self.latents_NM.expand(len(features_ISV), -1, -1)
        keys = torch.cat([self.project(features_ISV), latents_INM], dim=1)
        images_INM: torch.Tensor = self.attention(latents_INM, keys)
        return images_INM
