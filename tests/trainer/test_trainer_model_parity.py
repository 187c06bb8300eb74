"""The model against a second implementation of its formulas, and Hugging Face's Kosmos-2 with the same weights."""

import math
from collections.abc import Callable

import pytest
import torch
from transformers.models.kosmos2.configuration_kosmos2 import Kosmos2TextConfig
from transformers.models.kosmos2.modeling_kosmos2 import Kosmos2TextForCausalLM

from trainer.config import TrainConfig, load
from trainer.model.attention import XPos, attention_mask
from trainer.model.kosmos import Decoder, Kosmos
from trainer.model.vision import Resampler


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    """Add noise to every weight, so that biases and norms matter."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return module.eval()


def normed(x: torch.Tensor, weights: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: torch.Tensor, weights: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def xpos_products(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Multiply queries and keys (T, D) as complex pairs: z = q k* e^(i (n - m) θ) ζ^((n - m) / 512), in float64."""
    length, width = q.shape
    i = torch.arange(width // 2, dtype=torch.float64)
    theta, zeta = 10_000 ** (-2 * i / width), (2 * i + 0.4 * width) / (1.4 * width)
    far = (torch.arange(length)[:, None] - torch.arange(length)[None, :]).double().unsqueeze(-1)
    pairs_q, pairs_k = (torch.view_as_complex(z.double().reshape(length, -1, 2).contiguous()) for z in (q, k))
    products = pairs_q[:, None] * pairs_k[None].conj() * torch.polar(zeta ** (far / 512), far * theta)
    return products.real.sum(-1)


def reference_decoder(x: torch.Tensor, weights: dict[str, torch.Tensor], layers: int, heads: int) -> torch.Tensor:
    """Compute the decoder on one row (T, M), head by head, from the formulas of Magneto and xPos only."""
    weights = {name: w.double() for name, w in weights.items()}
    x = x.double()
    hidden = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
    for n in range(layers):
        block = f"blocks.{n}"
        y = normed(x, weights, f"{block}.attention_norm")
        q, k, v = (linear(y, weights, f"{block}.attention.{p}_proj").chunk(heads, -1) for p in "qkv")
        attended = [
            (xpos_products(a, b) / math.sqrt(a.shape[1])).masked_fill(hidden, -math.inf).softmax(-1) @ c
            for a, b, c in zip(q, k, v, strict=True)
        ]
        inner = normed(torch.cat(attended, -1), weights, f"{block}.attention.norm")
        x = x + linear(inner, weights, f"{block}.attention.out_proj")
        h = linear(normed(x, weights, f"{block}.ffn_norm"), weights, f"{block}.fc1")
        h = normed(h * 0.5 * (1 + torch.erf(h / math.sqrt(2))), weights, f"{block}.sub_norm")
        x = x + linear(h, weights, f"{block}.fc2")
    return normed(x, weights, "norm")


def test_the_decoder_equals_its_formulas(tiny: Callable[..., TrainConfig]) -> None:
    torch.manual_seed(0)
    config = tiny().model
    decoder = perturbed(Decoder(config))
    x = torch.randn(1, 24, config.width)
    row = torch.ones(1, 24, dtype=torch.int64)
    with torch.no_grad():
        ours = decoder(x, attention_mask(row), XPos(torch.arange(24)[None], config.width // config.heads))
    theirs = reference_decoder(x[0], dict(decoder.named_parameters()), config.layers, config.heads)
    torch.testing.assert_close(ours[0].double(), theirs.detach(), rtol=0, atol=1e-5)


def test_the_resampler_equals_its_formula() -> None:
    torch.manual_seed(0)
    resampler = perturbed(Resampler(12, 16, heads=2, latents=3))
    w = dict(resampler.named_parameters())
    features = torch.randn(2, 5, 12)
    for image, ours in zip(features, resampler(features), strict=True):
        inputs = torch.cat([linear(image, w, "project"), w["latents_NM"]])
        queries = linear(w["latents_NM"], w, "attention.q_proj").chunk(2, -1)
        keys, values = (linear(inputs, w, f"attention.{p}_proj").chunk(2, -1) for p in "kv")
        heads = [(q @ k.T / math.sqrt(8)).softmax(-1) @ v for q, k, v in zip(queries, keys, values, strict=True)]
        torch.testing.assert_close(ours, linear(torch.cat(heads, -1), w, "attention.out_proj"), rtol=0, atol=1e-5)


def test_vision_features_are_normalised_tokens_after_the_last_norm(tiny: Callable[..., TrainConfig]) -> None:
    torch.manual_seed(0)
    vision = Kosmos(tiny(), vocab_size=100).vision
    pixels = torch.randn(2, 3, 32, 32)
    tower = vision.tower
    with torch.no_grad():
        tokens = tower.ln_post(tower.transformer(tower._embeds(pixels)))
        torch.testing.assert_close(vision(pixels), tokens / tokens.pow(2).sum(-1, keepdim=True).sqrt())
    assert vision(pixels).shape == (2, 1 + 4, 32)


@pytest.mark.parametrize("base", ["xavier", "linear"])
def test_initialisation_scales_weights_and_biases_as_the_released_code(base: str) -> None:
    config = load("debug", [f"model.initialisation={base}"]).model
    torch.manual_seed(0)
    block = Decoder(config).blocks[0]
    gain = math.sqrt(math.log(2 * config.layers))
    linear_bound = gain / math.sqrt(config.width)
    assert (block.fc1.bias.abs().max() == 0) == (base == "xavier")
    if base == "linear":
        assert block.fc1.bias.abs().max().item() == pytest.approx(linear_bound, rel=0.05)
        assert block.fc1.weight.abs().max().item() == pytest.approx(linear_bound, rel=0.01)
        assert block.attention.q_proj.weight.abs().max().item() == pytest.approx(linear_bound / gain, rel=0.01)


def test_the_vision_encoder_of_kosmos1_is_that_of_clip() -> None:
    with torch.device("meta"):
        model = Kosmos(load("kosmos1_1b6"), 64_007, pretrained=False)
    tower = model.vision.tower
    assert (len(tower.transformer.resblocks), model.vision.width, model.vision.preprocess.size) == (
        24,
        1024,
        (224, 224),
    )
    assert tower.positional_embedding.shape == (257, 1024)
    assert type(tower.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    trainable = {
        name.split(".resblocks.")[-1].split(".")[0] for name, p in model.vision.named_parameters() if p.requires_grad
    }
    assert trainable == {"23", "tower"}  # the last block, and ln_post


def test_the_paper_s_sizes_give_these_parameters() -> None:
    """The paper's "1.3 B" and "about 1.6 B" parameters are 1.340 B and 1.663 B by its sizes, 3.1 % and 3.9 % more.

    Every number below is computed from the sizes only.
    """
    with torch.device("meta"):
        model = Kosmos(load("kosmos1_1b6"), 64_007, pretrained=False)
    m, f, layers, v = 2048, 8192, 24, 1024
    norm, attention = 2 * m, 4 * (m * m + m)
    block = attention + 3 * norm + 2 * f + (m * f + f) + (f * m + m)
    decoder = layers * block + norm + 64_128 * m
    resampler = (v * m + m) + 64 * m + attention
    vision_block = 4 * v + 4 * (v * v + v) + (v * 4 * v + 4 * v) + (4 * v * v + v)
    vision = 24 * vision_block + 3 * 14 * 14 * v + v + 257 * v + 4 * v
    counted = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert counted["decoder"] + counted["embedding"] == decoder == 1_340_428_288
    assert (counted["resampler"], counted["vision"]) == (resampler, vision)
    assert sum(counted.values()) == decoder + resampler + vision == 1_662_623_744
    assert decoder == pytest.approx(1.3e9, rel=0.04)
    assert decoder + resampler + vision == pytest.approx(1.6e9, rel=0.04)


def test_sinusoidal_logits_equal_those_of_kosmos_2(tiny: Callable[..., TrainConfig]) -> None:
    torch.manual_seed(0)
    config = tiny("model.positions=sinusoidal")
    model = perturbed(Kosmos(config, vocab_size=128))
    theirs = Kosmos2TextForCausalLM(
        Kosmos2TextConfig(
            vocab_size=128, embed_dim=64, layers=2, ffn_dim=128, attention_heads=2, max_position_embeddings=64,
            dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, layerdrop=0.0, pad_token_id=1,
        )
    ).eval()  # fmt: skip
    names = {
        "attention.norm": "self_attn.inner_attn_ln",
        "attention.": "self_attn.",
        "attention_norm": "self_attn_layer_norm",
        "ffn_norm": "final_layer_norm",
        "sub_norm": "ffn.ffn_layernorm",
        "fc1": "ffn.fc1",
        "fc2": "ffn.fc2",
    }
    weights = {"model.embed_tokens.weight": model.embedding.weight, "lm_head.weight": model.embedding.weight}
    for name, weight in model.decoder.named_parameters():
        if not name.startswith("blocks."):
            weights[f"model.layer_{name}"] = weight
            continue
        _, number, rest = name.split(".", 2)
        ours = next(n for n in names if rest.startswith(n))
        weights[f"model.layers.{number}.{rest.replace(ours, names[ours], 1)}"] = weight
    theirs.load_state_dict(weights)
    tokens = torch.randint(2, 128, (2, 30))  # 1 is their padding
    image_mask = torch.zeros_like(tokens, dtype=torch.bool)
    image_mask[:, 3:5] = True
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        images = model.resampler(model.vision(pixels))
        ours = model(tokens, image_mask, torch.ones_like(tokens), pixels)
        expected = theirs(tokens, image_embeds=images, image_embeds_position_mask=image_mask).logits
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
