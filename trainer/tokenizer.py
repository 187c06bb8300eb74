"""The tokenizer: SentencePiece trained on the text of the shards, byte for byte the same for the same shards.

Byte-pair merges with a fallback to bytes and no normalisation: what is decoded is what was encoded. The special tokens
are control symbols, so that no text from the web, whatever it spells, is ever encoded to one.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import sentencepiece
from fsspec.core import url_to_fs

from schemas.errors import IntegrityError, PathError, RecipeError, WeftError
from trainer.data.shards import Corpus, open_shards

KOSMOS1_VOCABULARY = 64_007  # arXiv 2302.14045
PAD, UNK, BOS, EOS, IMAGE, END_IMAGE = range(6)
SPECIAL = {"<pad>": PAD, "<unk>": UNK, "<s>": BOS, "</s>": EOS, "<image>": IMAGE, "</image>": END_IMAGE}

_MODEL, _ABOUT = "tokenizer.model", "tokenizer.json"
_MAX_LINE_CHARACTERS = 4_000  # longer lines are learnt from in pieces; SentencePiece would leave them out


@dataclass(frozen=True)
class Tokenizer:
    """A trained tokenizer. `model` is the SentencePiece model itself, so that a tokenizer is a value."""

    model: bytes

    @cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        processor = sentencepiece.SentencePieceProcessor(model_proto=self.model)
        for piece, number in SPECIAL.items():
            if processor.piece_to_id(piece) != number:
                raise IntegrityError(f"the tokenizer gives {piece} another id than {number}; train it with Weft")
        return processor

    @property
    def vocab_size(self) -> int:
        return int(self._processor.vocab_size())

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.model).hexdigest()

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """Encode a text; never to a special token."""
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


def train(
    data: str,
    output: str,
    vocab_size: int = KOSMOS1_VOCABULARY,
    max_characters: int = 200_000_000,
    overwrite: bool = False,
) -> Tokenizer:
    """Train a tokenizer on the text of the shards in `data` and write it to the folder `output`.

    The corpora share `max_characters` evenly, each read from its start: shards are shuffled already. Text that cannot
    fill `vocab_size` gives a smaller vocabulary. Finding the same tokenizer at `output` is a no-op.

    Raises: PathError without shards; RecipeError when `output` holds another tokenizer and `overwrite` is not given;
        WeftError when the shards hold no text, or so small a vocabulary is asked for that not even bytes fit.
    """
    shards = open_shards(data)
    settings = {"vocab_size": vocab_size, "max_characters": max_characters, "shards": shards.fingerprint}
    fs, folder = url_to_fs(output)
    if fs.exists(f"{folder}/{_ABOUT}") and not overwrite:
        found = json.loads(fs.cat_file(f"{folder}/{_ABOUT}"))["settings"]
        if found != settings:
            differences = ", ".join(f"{k} {found.get(k)} there, {v} here" for k, v in settings.items() if found[k] != v)
            raise RecipeError(f"{output} holds another tokenizer ({differences}); --overwrite replaces it")
        return load(output)
    corpora = [corpus for corpus in shards.corpora.values() if len(corpus)]
    lines = (line for c in corpora for line in _lines(c, max_characters // len(corpora)))
    tokenizer = Tokenizer(_learn(lines, vocab_size))
    about = {
        "sha256": tokenizer.sha256,
        "num_tokens": tokenizer.vocab_size,
        "special": SPECIAL,
        "settings": settings,
    }
    fs.makedirs(folder, exist_ok=True)
    fs.pipe_file(f"{folder}/{_MODEL}", tokenizer.model)
    fs.pipe_file(f"{folder}/{_ABOUT}", (json.dumps(about, indent=2) + "\n").encode())  # last: it marks a whole folder
    return tokenizer


def load(folder: str) -> Tokenizer:
    """Load the tokenizer in a folder, a local path or an fsspec URL.

    Raises: PathError when there is none; IntegrityError when its parts do not belong together.
    """
    fs, path = url_to_fs(folder)
    if not fs.exists(f"{path}/{_ABOUT}"):
        raise PathError(f"no tokenizer in {folder}; train one with `weft tokenizer`")
    tokenizer = Tokenizer(fs.cat_file(f"{path}/{_MODEL}"))
    if json.loads(fs.cat_file(f"{path}/{_ABOUT}"))["sha256"] != tokenizer.sha256:
        raise IntegrityError(f"{folder}/{_MODEL} is not what {_ABOUT} describes; train it again with --overwrite")
    return tokenizer


def copy(source: str, target: str) -> None:
    """Copy a tokenizer's folder, from and to a local path or an fsspec URL."""
    (from_fs, from_path), (to_fs, to_path) = url_to_fs(source), url_to_fs(target)
    to_fs.makedirs(to_path, exist_ok=True)
    for name in (_MODEL, _ABOUT):
        to_fs.pipe_file(f"{to_path}/{name}", from_fs.cat_file(f"{from_path}/{name}"))


def _lines(corpus: Corpus, max_characters: int) -> Iterator[str]:
    """Yield the text of a corpus in lines, until `max_characters` are reached."""
    for number in range(len(corpus)):
        sample = corpus.sample(number)
        try:
            if corpus.name == "interleaved":
                text = "\n".join(block["text"] for block in corpus.blocks(sample))
            else:
                text = corpus.text(sample)
        except IntegrityError:  # one broken sample teaches nothing; the trainer will name it
            continue
        for line in text.splitlines():
            for start in range(0, len(line), _MAX_LINE_CHARACTERS):
                yield line[start : start + _MAX_LINE_CHARACTERS]
        max_characters -= len(text)
        if max_characters <= 0:
            return


def _learn(lines: Iterator[str], vocab_size: int) -> bytes:
    """Run SentencePiece on one thread: with more, ties fall by chance."""
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise WeftError("the shards hold no text to learn a tokenizer from")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for chunk in ([first], lines) for line in chunk),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            character_coverage=0.9999,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=8 * _MAX_LINE_CHARACTERS,
            num_threads=1,
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            pad_piece="<pad>",
            control_symbols=["<image>", "</image>"],
            minloglevel=2,
        )
    except RuntimeError as error:
        raise WeftError(f"a vocabulary of {vocab_size} is too small for this text; ask for more ({error})") from error
    return model.getvalue()
