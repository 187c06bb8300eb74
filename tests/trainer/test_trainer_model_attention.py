"""Attention masks with every kernel, and blocks that are checkpointed or compiled."""

from collections.abc import Callable

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from schemas.errors import RecipeError
from trainer.config import TrainConfig
from trainer.model.attention import XPos, attention_mask, block_mask
from trainer.model.kosmos import DecoderBlock, Kosmos, cross_entropy_sum

Config = Callable[..., TrainConfig]


def row(*documents: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Pack documents of tokens, without images."""
    tokens = torch.cat(documents)[None]
    segments = torch.cat([torch.full((len(d),), n + 1) for n, d in enumerate(documents)])[None]
    return tokens, torch.zeros_like(tokens, dtype=torch.bool), segments, None


def test_flex_equals_sdpa(tiny: Config) -> None:
    torch.manual_seed(0)
    ours, flex = (Kosmos(tiny(f"model.attention={kernel}"), vocab_size=100) for kernel in ("sdpa", "flex"))
    flex.load_state_dict(ours.state_dict())
    a, b = torch.randint(6, 100, (14,)), torch.randint(6, 100, (19,))
    with torch.no_grad():
        torch.testing.assert_close(flex(*row(a, b)), ours(*row(a, b)), rtol=1e-4, atol=1e-5)


def test_the_block_mask_equals_the_mask() -> None:
    segments = torch.tensor([[1] * 130 + [2] * 100 + [3] * 20 + [0] * 50, [1] * 300])
    whole = block_mask(segments).mask_mod
    t, s = torch.arange(300)[:, None], torch.arange(300)[None, :]
    for number in range(2):
        b = torch.tensor(number)
        assert torch.equal(whole(b, torch.tensor(0), t, s), attention_mask(segments)[number, 0])


def test_flex_with_attention_dropout_is_an_error(tiny: Config) -> None:
    with pytest.raises(RecipeError, match="attention_dropout"):
        tiny("model.attention=flex", "model.dropout=0.1")
    assert tiny("model.attention=flex", "model.dropout=0.1", "model.attention_dropout=0")


@pytest.mark.parametrize("kernel", ["sdpa", "flex"])
def test_documents_are_independent_with_a_document_mask_only(tiny: Config, kernel: str) -> None:
    torch.manual_seed(0)
    a, other, b = (torch.randint(6, 100, (12,)) for _ in range(3))
    for masked in (True, False):
        model = Kosmos(tiny(f"model.document_mask={masked}", f"model.attention={kernel}"), vocab_size=100)
        with torch.no_grad():
            one, two = model(*row(a, b))[0, 12:], model(*row(other, b))[0, 12:]
            assert torch.equal(one, two) == masked
            whole, alone = model(*row(torch.cat([a, b]))), model(*row(a, b))
            assert torch.allclose(whole, alone, atol=1e-5) != masked  # one segment: positions continue too


def test_padding_changes_nothing_when_rows_are_one_segment(tiny: Config) -> None:
    torch.manual_seed(0)
    model = Kosmos(tiny("model.document_mask=false"), vocab_size=100)
    a, b = torch.randint(6, 100, (12,)), torch.randint(6, 100, (12,))
    tokens, image_mask, segments, _ = row(a, b)
    segments[0, 12:] = 0
    with torch.no_grad():
        torch.testing.assert_close(
            model(tokens, image_mask, segments, None)[0, :12], model(*row(a))[0], rtol=0, atol=1e-5
        )


def test_image_positions_give_the_embedding_no_gradient(tiny: Config) -> None:
    torch.manual_seed(0)
    model = Kosmos(tiny(), vocab_size=100)
    tokens = torch.arange(10, 22)[None]
    image_mask = torch.zeros_like(tokens, dtype=torch.bool)
    image_mask[0, 2:4] = True
    targets = torch.where(image_mask, -100, tokens + 30)
    x = model.states(tokens, image_mask, torch.ones_like(tokens), torch.randn(1, 3, 32, 32))
    x.retain_grad()
    cross_entropy_sum(x[0], model.embedding.weight, targets[0], -100).backward()
    is_zero = x.grad[0].abs().sum(-1) == 0
    assert torch.equal(is_zero, image_mask[0])


def block_and_row(config: TrainConfig) -> tuple[DecoderBlock, tuple[object, ...]]:
    torch.manual_seed(0)
    block = DecoderBlock(config.model)
    segments = torch.tensor([[1] * 10 + [2] * 6])
    x = torch.randn(1, 16, config.model.width, requires_grad=True)
    xpos = XPos(torch.arange(16)[None], config.model.width // config.model.heads)
    return block, (x, attention_mask(segments), xpos)


def gradients(block: DecoderBlock, out: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(out.square().sum(), list(block.parameters())))


def test_a_checkpointed_block_equals_the_block_with_dropout(tiny: Config) -> None:
    block, given = block_and_row(tiny("model.dropout=0.3"))
    results = []
    for forward in (block, lambda *a: checkpoint(block, *a, use_reentrant=False)):
        torch.manual_seed(1)
        results.append(gradients(block, forward(*given)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_compiled_block_equals_the_block_and_compiles_once(tiny: Config) -> None:
    """Forward and backward are traced completely; the code that a GPU compiler makes of the trace is not tested."""
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    block, given = block_and_row(tiny())
    compiled = torch.compile(block, backend=counter, fullgraph=True, dynamic=False)
    for _ in range(3):
        torch.testing.assert_close(compiled(*given), block(*given))
        for a, b in zip(*(gradients(block, f(*given)) for f in (compiled, block)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        given = block_and_row(tiny())[1]  # another batch: new tensors, a new XPos
    assert counter.frame_count == 1
