"""The decoder: a Magneto transformer (arXiv 2210.06423) with sub-LayerNorm.

Letters: B rows, T positions, M width of the model, F width of the feed-forward block.
Tensors have the dtype of the activations (fp32 or bf16).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from trainer.config.model import Model
from trainer.model.attention import Attention
from trainer.model.cache import Cache, LayerCache
from trainer.model.positions import XPos
from trainer.model.sight import Sight


class Block(nn.Module):
    """One layer: LN → attention with an inner LN → add; LN → fc1 → GELU → LN → fc2 → add."""

    def __init__(self, config: Model) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        dropout = config.dropout if config.attention_dropout is None else config.attention_dropout
        self.attention = Attention(config.width, config.heads, dropout, sub_norm=True, causal=True)
        self.ffn_norm = nn.LayerNorm(config.width)
        self.fc1 = nn.Linear(config.width, config.ffn_width)
        self.sub_norm = nn.LayerNorm(config.ffn_width)
        self.fc2 = nn.Linear(config.ffn_width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x_BTM: torch.Tensor, sight: Sight, xpos: XPos | None, cache: LayerCache | None = None
    ) -> torch.Tensor:
        y_BTM = self.attention_norm(x_BTM)
        x_BTM = x_BTM + self.dropout(self.attention(y_BTM, y_BTM, sight, xpos, cache))
        h_BTF = self.sub_norm(F.gelu(self.fc1(self.ffn_norm(x_BTM))))
        out_BTM: torch.Tensor = x_BTM + self.dropout(self.fc2(h_BTF))
        return out_BTM


class Decoder(nn.Module):
    """The blocks and the final LayerNorm; embeddings go in, the states that predict come out."""

    def __init__(self, config: Model) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self._initialise(config)

    def forward(self, x_BTM: torch.Tensor, sight: Sight, xpos: XPos | None, cache: Cache | None = None) -> torch.Tensor:
        for number, block in enumerate(self.blocks):
            x_BTM = block(x_BTM, sight, xpos, None if cache is None else cache.layers[number])
        out_BTM: torch.Tensor = self.norm(x_BTM)
        return out_BTM

    @torch.no_grad()
    def _initialise(self, config: Model) -> None:
        """Scale fc1, fc2, v_proj and out_proj by √(ln 2N), N layers (Magneto, section 3).

        The base is Xavier, as the paper says, or PyTorch's default for Linear, whose biases are scaled too, as its
        released code has it.
        """
        gain = math.sqrt(math.log(2 * config.layers))
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                if config.initialisation == "xavier":
                    nn.init.xavier_normal_(module.weight)
                    nn.init.zeros_(module.bias)
                if not name.endswith(("q_proj", "k_proj")):
                    module.weight.mul_(gain)
                    module.bias.mul_(gain)
