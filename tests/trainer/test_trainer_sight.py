"""The proof that the model sees: it learns captions, and when the images are swapped, the captions swap."""

from collections.abc import Callable

import torch
from open_clip.transform import PreprocessCfg
from shardwriter import COLOURS, drawing

from trainer import formats
from trainer.config import TrainConfig
from trainer.data.images import Decoder
from trainer.data.packing import IGNORED, Row
from trainer.data.shards import Sample
from trainer.model.kosmos import Kosmos
from trainer.tokenizer import Tokenizer


def test_swapping_the_images_swaps_the_captions(words: Tokenizer, tiny: Callable[..., TrainConfig]) -> None:
    config = tiny("vision.latents=4")
    decoder = Decoder(PreprocessCfg(size=32))
    rows, pixels, colour_at, colour_tokens = [], [], [], []
    for number, colour in enumerate(COLOURS):
        document = formats.caption(words, f"a {colour} disc on white", "jpg", 4, 32)
        row = Row.empty(32)
        row.add(document, 0, len(document.tokens_L), Sample("", "", {}))
        rows.append(row)
        pixels.append(decoder.decode(drawing(colour, number)))
        prefix = words.encode("a").tolist()
        colour_at.append(6 + len(prefix))  # <s> <image> E E E E </image> comes before, and a position predicts the next
        colour_tokens.append(document.tokens_L[7 + len(prefix)])
    assert len(set(colour_tokens)) == 4
    tokens, slots, stretches, targets = (
        torch.stack([torch.from_numpy(getattr(row, name)) for row in rows])
        for name in ("tokens_T", "slots_T", "stretches_T", "targets_T")
    )
    images = torch.stack(pixels)
    torch.manual_seed(0)
    model = Kosmos(config, words.vocab_size)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, betas=(0.9, 0.98))
    for _ in range(250):
        loss = model(tokens.long(), slots, stretches.long(), images, targets.long()) / (targets != IGNORED).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.05

    def colours_seen(order: list[int]) -> list[int]:
        with torch.no_grad():
            logits = model(tokens.long(), slots, stretches.long(), images[order])
        return [int(logits[i, colour_at[i]].argmax()) for i in range(4)]

    for order in ([0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]):
        assert colours_seen(order) == [int(colour_tokens[i]) for i in order]
