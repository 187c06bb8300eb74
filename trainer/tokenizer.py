"""The tokenizer: encoding, decoding and storage. `trainer/train_tokenizer.py` trains it.

Special tokens are control symbols, so no text is ever encoded to one.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import sentencepiece

from schemas.display import shorten
from schemas.errors import IntegrityError, PathError
from schemas.integrity import seal, unseal
from schemas.shards import TOKENIZER_ABOUT
from schemas.storage import file_system

PAD, UNK, BOS, EOS, IMAGE, END_IMAGE = range(6)
SPECIAL = {"<pad>": PAD, "<unk>": UNK, "<s>": BOS, "</s>": EOS, "<image>": IMAGE, "</image>": END_IMAGE}

_MODEL = "tokenizer.model"


@dataclass(frozen=True)
class Tokenizer:
    """A trained tokenizer; `model` is the serialised SentencePiece model."""

    model: bytes

    @cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=self.model)
        except (RuntimeError, ValueError) as error:
            raise IntegrityError(f"{_MODEL} is no SentencePiece model: {shorten(error)}") from error
        for piece, number in SPECIAL.items():
            if processor.piece_to_id(piece) != number:
                raise IntegrityError(
                    f"the tokenizer has another id than {number} for {piece}; train it with `weft tokenizer`"
                )
        return processor

    @property
    def vocab_size(self) -> int:
        return int(self._processor.vocab_size())

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.model).hexdigest()

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """Encode a text, never to a special token."""
        return np.array(self._processor.encode(text), np.int32)

    def decode(self, tokens: npt.NDArray[np.int32] | list[int]) -> str:
        """Decode tokens; special tokens are left out."""
        return str(self._processor.decode([int(t) for t in tokens]))

    def sentence_starts(self, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Mark the tokens before which a sentence has ended: after a line break, and after . ! ? at a new word."""
        ends_line, ends_sentence, starts_word = self._boundaries
        starts = np.zeros(len(tokens), np.bool_)
        before, here = tokens[:-1], tokens[1:]
        starts[1:] = ends_line[before] | (ends_sentence[before] & starts_word[here])
        return starts

    @cached_property
    def _boundaries(self) -> tuple[npt.NDArray[np.bool_], ...]:
        pieces = [self._processor.id_to_piece(i) for i in range(self.vocab_size)]
        return (
            np.array([p == "<0x0A>" for p in pieces]),
            np.array([p.endswith((".", "!", "?")) for p in pieces]),
            np.array([p.startswith("▁") for p in pieces]),
        )


def about(folder: str) -> dict[str, Any] | None:
    """Return the description of the tokenizer in a folder (a local path or an fsspec URL); None when there is none.

    Raises: IntegrityError when `weft tokenizer` did not write it.
    """
    fs, path = file_system(folder)
    if not fs.exists(f"{path}/{TOKENIZER_ABOUT}"):
        return None
    name = f"{folder}/{TOKENIZER_ABOUT}"
    found: dict[str, Any] = unseal(fs.cat_file(f"{path}/{TOKENIZER_ABOUT}"), name, is_strict=True)[0]
    if not isinstance(found, dict) or not isinstance(found.get("sha256"), str):
        raise IntegrityError(f"{name} is not of a tokenizer that `weft tokenizer` trained")
    return found


def save(folder: str, tokenizer: Tokenizer, **known: object) -> None:
    """Write a tokenizer and its description, with further facts, to a local path or an fsspec URL."""
    fs, path = file_system(folder)
    description = {"sha256": tokenizer.sha256, "num_pieces": tokenizer.vocab_size, "special": SPECIAL, **known}
    fs.makedirs(path, exist_ok=True)
    fs.pipe_file(f"{path}/{_MODEL}", tokenizer.model)
    fs.pipe_file(f"{path}/{TOKENIZER_ABOUT}", seal(description))  # last: it marks a complete one


def load(folder: str) -> Tokenizer:
    """Load the tokenizer in a folder, a local path or an fsspec URL.

    Raises: PathError when there is none; IntegrityError when its files do not match.
    """
    description = about(folder)
    if description is None:
        raise PathError(f"no tokenizer in {folder}; train one with `weft tokenizer`")
    fs, path = file_system(folder)
    try:
        tokenizer = Tokenizer(fs.cat_file(f"{path}/{_MODEL}"))
    except OSError as error:
        raise PathError(f"{folder}/{_MODEL} cannot be read; train it again with --overwrite") from error
    if description["sha256"] != tokenizer.sha256:
        raise IntegrityError(
            f"{folder}/{_MODEL} is not what {TOKENIZER_ABOUT} describes; train it again with --overwrite"
        )
    _ = tokenizer.vocab_size  # raises for an invalid model
    return tokenizer


def copy(source: str, target: str) -> None:
    """Copy a tokenizer's folder; both are local paths or fsspec URLs."""
    (from_fs, from_path), (to_fs, to_path) = file_system(source), file_system(target)
    to_fs.makedirs(to_path, exist_ok=True)
    for name in (_MODEL, TOKENIZER_ABOUT):
        to_fs.pipe_file(f"{to_path}/{name}", from_fs.cat_file(f"{from_path}/{name}"))
