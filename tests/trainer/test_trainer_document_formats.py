import numpy as np

from trainer.data import packing
from trainer.tokenizer import BOS, END_IMAGE, EOS, IMAGE, PAD, Tokenizer


def bits(mask: np.ndarray) -> str:
    return "".join("01"[int(b)] for b in mask)


def test_text(tokenizer: Tokenizer) -> None:
    d = packing.text(tokenizer, "A disc.")
    n = len(tokenizer.encode("A disc."))
    assert d.tokens_L.tolist() == [BOS, *tokenizer.encode("A disc."), EOS]
    assert bits(d.loss_L) == "0" + "1" * (n + 1)
    assert not d.image_mask_L.any()
    assert d.images == ()


def test_targets_of_a_caption_start_after_the_image(tokenizer: Tokenizer) -> None:
    d = packing.caption(tokenizer, "a disc", "jpg", num_image_tokens=3, max_tokens=64)
    n = len(tokenizer.encode("a disc"))
    assert d.tokens_L.tolist() == [BOS, IMAGE, PAD, PAD, PAD, END_IMAGE, *tokenizer.encode("a disc"), EOS]
    assert bits(d.image_mask_L) == "001110" + "0" * (n + 1)
    assert bits(d.loss_L) == "000000" + "1" * (n + 1)
    assert not d.cuts_L.any()
    assert d.images == ("jpg",)


def test_a_long_caption_is_truncated(tokenizer: Tokenizer) -> None:
    d = packing.caption(tokenizer, "a disc " * 50, "jpg", num_image_tokens=3, max_tokens=20)
    assert len(d.tokens_L) == 20
    assert d.tokens_L[5] == END_IMAGE


def test_interleaved_targets_are_all_tokens_but_image_embeddings(tokenizer: Tokenizer) -> None:
    image, a, b, c = (
        {"kind": kind, "text": text, "image": name}
        for kind, text, name in (("image", "", "0.jpg"), ("text", "A.", ""), ("text", "B.", ""), ("image", "", "1.jpg"))
    )
    d = packing.interleaved(tokenizer, [image, a, b, c], num_image_tokens=2)  # type: ignore[list-item]
    text = tokenizer.encode("A.\nB.").tolist()
    image_tokens = [IMAGE, PAD, PAD, END_IMAGE]
    assert d.tokens_L.tolist() == [BOS, *image_tokens, *text, *image_tokens, EOS]
    assert (d.tokens_L == PAD).tolist() == d.image_mask_L.tolist()
    assert d.loss_L.tolist() == [t != BOS and t != PAD for t in d.tokens_L]
    assert d.images == ("0.jpg", "1.jpg")
    second = 5 + len(text)
    assert d.cuts_L[second]  # before the second image, but not after it
    assert not d.cuts_L[second + 1 :].any()
    assert not d.cuts_L[:6].any()  # neither after <s> nor after the first image
