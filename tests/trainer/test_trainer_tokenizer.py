from pathlib import Path

import numpy as np
import pytest
from conftest import TEXT
from hypothesis import given
from hypothesis import strategies as st
from shardwriter import text_sample, write_shards

from schemas.errors import IntegrityError, PathError, RecipeError, WeftError
from trainer import tokenizer as tokenizers
from trainer.tokenizer import SPECIAL, Tokenizer
from trainer.train_tokenizer import train_tokenizer


def test_training_twice_gives_the_same_bytes(data: Path, tmp_path: Path, tokenizer: Tokenizer) -> None:
    assert train_tokenizer(str(data), str(tmp_path), vocab_size=500).model == tokenizer.model
    assert tokenizer.vocab_size == 500


@given(st.text().filter(lambda t: "▁" not in t))  # which SentencePiece uses for spaces
def test_decoding_inverts_encoding(tokenizer: Tokenizer, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()  # no lone surrogates
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("piece", SPECIAL)
def test_no_text_is_encoded_to_a_special_token(tokenizer: Tokenizer, piece: str) -> None:
    tokens = tokenizer.encode(f"{piece} a {piece}{piece}")
    assert not set(tokens.tolist()) & set(SPECIAL.values())
    assert tokenizer.decode(tokens) == f"{piece} a {piece}{piece}"


def test_the_tokens_of_every_corpus_are_counted(data: Path, tokenizer: Tokenizer) -> None:
    counted = tokenizers.about(str(data / "tokenizer"))["counted"]
    texts = [" ".join([TEXT] * (1 + i % 4)) + f" Number {i}." for i in range(20)]
    assert counted["text"] == {
        "samples": 20,
        "characters": sum(map(len, texts)),
        "tokens": sum(len(tokenizer.encode(t)) for t in texts),
    }
    assert {name: counts["samples"] for name, counts in counted.items()} == {
        "interleaved": 10,
        "caption": 24,
        "text": 20,
    }


def test_sentences_start_after_punctuation(tokenizer: Tokenizer) -> None:
    text = "One is 3.5 here. Two? Three! Four\nfive"
    tokens = tokenizer.encode(text)
    starts = [*np.flatnonzero(tokenizer.sentence_starts(tokens)), len(tokens)]
    ends = [tokenizer.decode(tokens[:n]) for n in starts]
    assert ends == [
        "One is 3.5 here.",
        "One is 3.5 here. Two?",
        "One is 3.5 here. Two? Three!",
        "One is 3.5 here. Two? Three! Four\n",
        text,
    ]


def test_a_vocabulary_beyond_the_text_is_smaller(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", {"text": [text_sample("a", "one two three")]})
    assert train_tokenizer(str(tmp_path), str(tmp_path / "tokenizer"), 64_007).vocab_size < 400


def test_a_vocabulary_below_the_bytes_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(WeftError, match="a vocabulary of 100 is too small"):
        train_tokenizer(str(data), str(tmp_path), 100)


def test_shards_without_text_are_an_error(tmp_path: Path) -> None:
    write_shards(tmp_path, {"text": [text_sample("a", " ")]})
    with pytest.raises(WeftError, match="no text to train"):
        train_tokenizer(str(tmp_path), str(tmp_path / "tokenizer"))


def test_another_tokenizer_is_only_replaced_with_overwrite(data: Path, tmp_path: Path) -> None:
    first = train_tokenizer(str(data), str(tmp_path), 400)
    assert train_tokenizer(str(data), str(tmp_path), 400) == first
    with pytest.raises(RecipeError, match="vocab_size 400 there, 350 here"):
        train_tokenizer(str(data), str(tmp_path), 350)
    assert train_tokenizer(str(data), str(tmp_path), 350, overwrite=True).vocab_size == 350


def test_missing_and_changed_tokenizers_are_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="weft tokenizer"):
        tokenizers.load(str(tmp_path))
    tokenizers.copy(str(data / "tokenizer"), str(tmp_path))
    (tmp_path / "tokenizer.model").write_bytes(b"x")
    with pytest.raises(IntegrityError):
        tokenizers.load(str(tmp_path))
