"""Compare the decoder's forward and backward pass with Hugging Face's Kosmos-2 of the same size on the same tokens.

The peer has sinusoidal positions, no mask of documents, and all logits at once; ours has xPos, a mask of two documents
a row, and the loss in chunks.
"""

import time
from statistics import median

import torch
from transformers.models.kosmos2.configuration_kosmos2 import Kosmos2TextConfig
from transformers.models.kosmos2.modeling_kosmos2 import Kosmos2TextForCausalLM

from trainer.config import load
from trainer.metrics import decoder_per_token
from trainer.model.kosmos import Kosmos

ROWS, LENGTH, VOCABULARY = 2, 512, 16_000
SIZES = ("model.layers=6", "model.width=512", "model.ffn_width=2048", "model.heads=8", "model.dropout=0")
NUM_ROUNDS = 5


def model_measures() -> dict[str, tuple[float, float, str]]:
    """Measure in turn; return tokens per second, and the FLOP/s of Weft's decoder."""
    threads = torch.get_num_threads()
    torch.set_num_threads(torch.get_num_interop_threads())
    torch.manual_seed(0)
    config = load("debug", [*SIZES, f"data.sequence_length={LENGTH}"])
    model, m = Kosmos(config, VOCABULARY), config.model
    peer = Kosmos2TextForCausalLM(
        Kosmos2TextConfig(
            vocab_size=model.embedding.num_embeddings, embed_dim=m.width, layers=m.layers, ffn_dim=m.ffn_width,
            attention_heads=m.heads, max_position_embeddings=LENGTH, dropout=0.0, attention_dropout=0.0,
            activation_dropout=0.0, layerdrop=0.0, pad_token_id=1, use_cache=False,
        )
    ).train()  # fmt: skip
    tokens = torch.randint(8, VOCABULARY, (ROWS, LENGTH))
    slots = torch.zeros_like(tokens, dtype=torch.bool)
    segments = 1 + (torch.arange(LENGTH) >= LENGTH // 2).long().expand(ROWS, LENGTH)
    targets = tokens.roll(-1, 1)

    def ours() -> torch.Tensor:
        return model(tokens, slots, segments, None, targets) / targets.numel()

    def theirs() -> torch.Tensor:
        loss: torch.Tensor = peer(tokens, labels=tokens).loss
        return loss

    seconds = [(_seconds(ours), _seconds(theirs)) for _ in range(NUM_ROUNDS + 1)][1:]
    rates = tuple(ROWS * LENGTH / median(side) for side in zip(*seconds, strict=True))
    gflops = decoder_per_token(m, LENGTH, model.embedding.num_embeddings) / 1e9
    peak = _gflops_of_a_product()
    torch.set_num_threads(threads)
    parameters = sum(p.numel() for p in model.decoder.parameters()) + model.embedding.weight.numel()
    computed = rates[0] * gflops
    print(f"the decoder has {parameters:,} parameters; ours computes {computed:.0f} GFLOP/s, which is "
          f"{computed / peak:.0%} of the {peak:.0f} that the product of two large matrices reaches here")  # fmt: skip
    return {"model_tokens_per_second": (*rates, "tokens/s, forward and backward, fp32 on CPUs")}


def _gflops_of_a_product(size: int = 2048) -> float:
    """Return the peak speed of a product of square matrices, the reference for utilisation on CPUs."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    seconds = []
    for _ in range(8):
        started = time.perf_counter()
        torch.matmul(a, b)
        seconds.append(time.perf_counter() - started)
    return 2e-9 * size**3 / min(seconds)


def _seconds(loss) -> float:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    loss().backward()
    return time.perf_counter() - started


if __name__ == "__main__":
    print(model_measures())
