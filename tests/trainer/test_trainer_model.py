"""Parts of the model: positions, initialisation, attention masks, loss, and the vision encoder."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F

from schemas.errors import MissingError
from trainer.config import ModelConfig, TrainConfig
from trainer.data.packing import IGNORED
from trainer.model.attention import XPos, attention_mask, positions_in_segment, sinusoids
from trainer.model.kosmos import CHUNK, Decoder, Kosmos, cross_entropy_sum

Config = Callable[..., TrainConfig]


def xpos_product(q: list[float], k: list[float], n: int, m: int) -> float:
    """Compute a product of query n and key m by complex numbers, from the formulas only."""
    width = len(q)
    total = 0.0
    for i in range(width // 2):
        theta = 10_000 ** (-2 * i / width)
        zeta = (2 * i + 0.4 * width) / (1.4 * width)
        query, key = complex(q[2 * i], q[2 * i + 1]), complex(k[2 * i], k[2 * i + 1])
        rotation = complex(math.cos((n - m) * theta), math.sin((n - m) * theta))
        total += (query * rotation * key.conjugate()).real * zeta ** ((n - m) / 512)
    return total


@pytest.mark.parametrize(("n", "m"), [(0, 0), (5, 3), (63, 0), (40, 39)])
def test_xpos_follows_its_formulas(n: int, m: int) -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 16)
    xpos = XPos(torch.arange(64).unsqueeze(0), head_width=16)
    rotated_q, rotated_k = xpos.queries(q.expand(1, 1, 64, 16)), xpos.keys(k.expand(1, 1, 64, 16))
    product = float(rotated_q[0, 0, n] @ rotated_k[0, 0, m])
    assert product == pytest.approx(xpos_product(q.tolist(), k.tolist(), n, m), abs=1e-5)


def test_xpos_depends_on_the_distance_only() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 32, 16)
    here, there = XPos(torch.arange(32)[None], 16), XPos(torch.arange(32)[None] + 1000, 16)
    products = [x.queries(q) @ x.keys(k).mT for x in (here, there)]
    torch.testing.assert_close(products[0], products[1], rtol=1e-4, atol=1e-4)
    assert here.queries(q.bfloat16()).dtype == torch.bfloat16


def test_sinusoids_follow_fairseq() -> None:
    table = sinusoids(torch.arange(4)[None], 8)[0]
    expected = [2 / 10_000 ** (i / 3) for i in range(4)]  # the first position counts as 2
    assert table[0].tolist() == pytest.approx([*map(math.sin, expected), *map(math.cos, expected)], abs=1e-6)


def test_positions_and_mask_stay_in_their_segment() -> None:
    segments = torch.tensor([[1, 1, 2, 2, 2, 0]])
    assert positions_in_segment(segments).tolist() == [[0, 1, 0, 1, 2, 0]]
    expected = [[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0],
                [0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1]]  # fmt: skip
    assert attention_mask(segments)[0, 0].int().tolist() == expected


def test_initialisation_scales_by_magneto() -> None:
    torch.manual_seed(0)
    decoder = Decoder(ModelConfig(layers=12, width=256, ffn_width=1024, heads=4))
    gain = math.sqrt(math.log(24))
    block = decoder.blocks[0]
    xavier = {
        name: math.sqrt(2 / sum(m.weight.shape)) for name, m in block.named_modules() if hasattr(m, "in_features")
    }
    assert len(xavier) == 6
    for name, std in xavier.items():
        scale = 1 if name in ("attention.q_proj", "attention.k_proj") else gain
        linear = block.get_submodule(name)
        assert linear.weight.std().item() == pytest.approx(scale * std, rel=0.02), name
        assert not linear.bias.any()


def test_chunked_loss_is_the_plain_loss() -> None:
    torch.manual_seed(0)
    x, embedding = torch.randn(CHUNK + 100, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    targets = torch.randint(50, (CHUNK + 100,))
    targets[::3] = IGNORED
    chunked = cross_entropy_sum(x, embedding, targets, IGNORED)
    plain = F.cross_entropy(x @ embedding.T, targets, ignore_index=IGNORED, reduction="sum")
    torch.testing.assert_close(chunked, plain)
    halves = [t.detach().bfloat16().requires_grad_() for t in (x, embedding)]
    rounded = cross_entropy_sum(*halves, targets, IGNORED)
    expected = torch.autograd.grad(plain / 7, (x, embedding))
    for ours, right in zip(torch.autograd.grad(chunked / 7, (x, embedding)), expected, strict=True):
        torch.testing.assert_close(ours, right)
    for ours, right in zip(torch.autograd.grad(rounded / 7, halves), expected, strict=True):
        assert (ours - right).norm() < 0.01 * right.norm()
    with torch.no_grad():
        assert cross_entropy_sum(x, embedding, targets, IGNORED) == chunked
    nothing = cross_entropy_sum(x, embedding, torch.full_like(targets, IGNORED), IGNORED)
    assert nothing == 0
    assert not torch.autograd.grad(nothing, x)[0].any()


@pytest.fixture(scope="module")
def model(tiny: Config) -> Kosmos:
    torch.manual_seed(0)
    return Kosmos(tiny(), vocab_size=100)


def document(seed: int, length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return tokens, image mask and image of a document that starts with an image of two embeddings."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(6, 100, (length,), generator=generator)
    image_mask = torch.zeros(length, dtype=torch.bool)
    image_mask[2:4] = True
    return tokens, image_mask, torch.randn(1, 3, 32, 32, generator=generator)


def packed(*documents: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    tokens, image_mask, pixels = (torch.cat(parts) for parts in zip(*documents, strict=True))
    segments = torch.cat([torch.full((len(d[0]),), i + 1) for i, d in enumerate(documents)])
    return tokens[None], image_mask[None], segments[None], pixels


@pytest.mark.parametrize("positions", ["xpos", "sinusoidal"])
def test_a_packed_row_equals_its_documents(tiny: Config, positions: str) -> None:
    torch.manual_seed(0)
    model = Kosmos(tiny(f"model.positions={positions}"), vocab_size=100)
    a, b, other = document(1, 12), document(2, 20), document(3, 12)
    with torch.no_grad():
        together = model(*packed(a, b))[0]
        torch.testing.assert_close(together[:12], model(*packed(a))[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together[12:], model(*packed(b))[0], rtol=1e-4, atol=1e-5)
        assert torch.equal(model(*packed(other, b))[0, 12:], together[12:])
        targets = together.argmin(-1)
        summed = sum(model(*packed(d), t[None]) for d, t in ((a, targets[:12]), (b, targets[12:])))
        torch.testing.assert_close(model(*packed(a, b), targets[None]), summed)


def test_tokens_depend_on_the_image_before_them_only(model: Kosmos) -> None:
    tokens, image_mask, pixels = document(1, 12)
    with torch.no_grad():
        one, two = (model(*packed((tokens, image_mask, p)))[0] for p in (pixels, pixels + 1))
    assert torch.equal(one[:2], two[:2])
    assert all(not torch.allclose(a, b) for a, b in zip(one[2:], two[2:], strict=True))


def test_a_surplus_image_has_a_gradient_of_zero(model: Kosmos) -> None:
    tokens, image_mask, pixels = document(1, 12)
    arguments = (tokens[None], torch.zeros_like(image_mask)[None], torch.ones(1, 12, dtype=torch.int64))
    model.zero_grad()
    model(*arguments, pixels, tokens[None]).backward()
    parameters = [*model.vision.parameters(), *model.resampler.parameters()]
    assert all(p.grad is not None and not p.grad.any() for p in parameters)
    with torch.no_grad():
        assert torch.equal(model(*arguments, pixels), model(*arguments, 0 * pixels))


def test_only_the_last_layers_of_a_frozen_vision_encoder_are_trained(tiny: Config, tmp_path: Path) -> None:
    model = Kosmos(tiny("vision.trainable_layers=1"), vocab_size=100)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.1)
    before = {name: p.detach().clone() for name, p in model.vision.named_parameters()}
    tokens, image_mask, pixels = document(1, 12)
    model(*packed((tokens, image_mask, pixels)), tokens[None]).backward()
    optimizer.step()
    moved = {name for name, p in model.vision.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {n for n in before if n.startswith(("tower.transformer.resblocks.1.", "tower.ln_post."))}


def test_a_vision_encoder_loads_from_a_folder_with_its_preprocessing(tiny: Config, tmp_path: Path) -> None:
    torch.manual_seed(1)
    cfg = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 48, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
    }
    clip = open_clip.CLIP(**cfg)
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    (tmp_path / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": cfg, "preprocess_cfg": {"size": 48, "mean": mean, "std": std}})
    )
    torch.save(clip.state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    vision = Kosmos(tiny(f"vision.model=local-dir:{tmp_path}"), vocab_size=100).vision
    assert torch.equal(vision.tower.conv1.weight, clip.visual.conv1.weight)
    assert (vision.preprocess.size, tuple(vision.preprocess.mean), tuple(vision.preprocess.std)) == (
        (48, 48),
        mean,
        std,
    )
    features = vision(torch.randn(3, 3, 48, 48))
    assert features.shape == (3, 1 + 9, 32)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(3, 10))
    with pytest.raises(MissingError, match="nowhere"):
        Kosmos(tiny("vision.model=local-dir:nowhere"), vocab_size=100)
